#pragma once
#include <functional>

#include "core/context.h"
#include "models/vae_blocks.h"

/// Streaming use of the autoencoders. A clip goes through in chunks, one latent frame each: first 1 pixel frame, then
/// stride_t (4). Results equal those of the whole clip at once; memory does not depend on the number of frames.
/// Videos are [3, T, H, W] f32 in -1..1, latents [z_dim, T', h, w] f32 normalised as the DiT sees them.
namespace wan::models {

/// Latents to video (upstream's decode). One object decodes one clip; a new clip needs a new object. Weights and
/// config must outlive it. Everything throws Error(invalid_argument) for wrong shapes.
class VaeDecoder {
 public:
  /// The clip's latent frames are `height` x `width`.
  VaeDecoder(const VaeDecoderWeights& weights, const VaeConfig& config, int64_t height, int64_t width);
  /// How many pixel frames the next latent frame gives.
  int64_t next_frames() const noexcept { return state_.first ? 1 : config_->stride_t(); }
  /// z [z_dim, 1, h, w], slices in time are fine; writes frames [3, next_frames(), h * stride_s, w * stride_s], clamped
  /// to -1..1; a slice in time of the whole video is fine.
  void decode_next(Context& ctx, const Tensor& z, const Tensor& frames);
  /// Memory held between chunks, apart from ctx.arena.
  int64_t cache_bytes() const noexcept { return state_.bytes(); }

 private:
  const VaeDecoderWeights* weights_;
  const VaeConfig* config_;
  int64_t height_, width_;
  VaeState state_;
};

/// Video to latents (upstream's encode, the mean of the distribution). Rules as for VaeDecoder.
class VaeEncoder {
 public:
  /// Pixel frames are `height` x `width`, both multiples of stride_s.
  VaeEncoder(const VaeEncoderWeights& weights, const VaeConfig& config, int64_t height, int64_t width);
  /// How many pixel frames the next latent frame takes.
  int64_t next_frames() const noexcept { return state_.first ? 1 : config_->stride_t(); }
  /// frames [3, next_frames(), H, W]; writes z [z_dim, 1, H / stride_s, W / stride_s]; slices in time are fine.
  void encode_next(Context& ctx, const Tensor& frames, const Tensor& z);
  int64_t cache_bytes() const noexcept { return state_.bytes(); }

 private:
  const VaeEncoderWeights* weights_;
  const VaeConfig* config_;
  int64_t height_, width_;
  VaeState state_;
};

/// Gets frames [3, t, H, W] of the clip from frame `first` on; they are gone when it returns.
using FrameSink = std::function<void(int64_t first, const Tensor& frames)>;
/// Fills frames [3, t, H, W] of the clip from frame `first` on, in the memory of ctx's device.
using FrameSource = std::function<void(int64_t first, const Tensor& frames)>;

/// Gets rows [3, t, rows, W] of the clip's frames from frame and row `first` on; they are gone when it returns.
using BandSink = std::function<void(int64_t first_frame, int64_t first_row, const Tensor& frames)>;

/// Decodes z [z_dim, T', h, w], one sink call per latent frame.
void decode(Context& ctx, const VaeDecoderWeights& weights, const VaeConfig& config, const Tensor& z,
            const FrameSink& sink);
/// The same in bands of rows (see row_bands.h), for less memory: all frames of the first band, then all of the next.
/// The values are those of the whole frames; one band is `decode`. Throws Error(invalid_argument) for less than one and
/// for more than h.
void decode_bands(Context& ctx, const VaeDecoderWeights& weights, const VaeConfig& config, const Tensor& z,
                  int64_t bands, const BandSink& sink);

/// The same by ranks that all call it, each with `bands_each` bands; where the latents have too few rows, the last
/// ranks have none (see decoder_ranks). Rank 0's sink gets all rows: of one latent frame's frames those of a wave of
/// bands, top to bottom, then the next latent frame's. The values are those of as many bands on one rank. Throws
/// Error(comm) too.
void decode_shared(Context& ctx, const VaeDecoderWeights& weights, const VaeConfig& config, const Tensor& z,
                   comm::Communicator& ranks, int64_t bands_each, const BandSink& sink);

/// Encodes the `frames` (4n + 1) frames of a source into z [z_dim, n + 1, h, w].
void encode(Context& ctx, const VaeEncoderWeights& weights, const VaeConfig& config, int64_t frames,
            const FrameSource& source, const Tensor& z);
/// The same in bands of rows; one band is `encode`. The source gives all frames for each band. Throws
/// Error(invalid_argument) for less than one band and for more than most_encoder_bands(config.down, h).
void encode_bands(Context& ctx, const VaeEncoderWeights& weights, const VaeConfig& config, int64_t frames,
                  const FrameSource& source, const Tensor& z, int64_t bands);

}  // namespace wan::models
