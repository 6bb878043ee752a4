#pragma once
#include <cstdint>
#include <vector>

#include "core/context.h"
#include "models/vae.h"

/// The autoencoders in horizontal bands: all frames of one band of rows, then all frames of the next, so that what
/// convolutions keep of earlier frames is that of one band. Nothing is computed twice. A convolution over three rows
/// lacks the row below a band; it gives one row less at the bottom of the band and one more at its top, for which the
/// last rows of the band before are kept. So the rows of each layer lie a little higher than those of its input:
///
///     layer   band 0         band 1         last band
///     input   [0, n)         [n, m)         [m, H)
///     conv    [0, n - 1)     [n - 1, m - 1) [m - 1, H)
///     doubled [0, 2n - 1)    [2n - 1, ...)  [..., 2H)      (nearest neighbour, then a convolution)
namespace wan::models {

/// Rows [begin, end) of a layer's frames.
struct RowRange {
  int64_t begin = 0, end = 0;
  int64_t count() const noexcept { return end - begin; }
  bool operator==(const RowRange&) const = default;
};

/// Which edges of the frame a band touches; both: it is the whole frame. Rows are counted without those kept.
struct RowBand {
  bool top = true, bottom = true;

  bool whole() const noexcept { return top && bottom; }
  /// How many rows of the band before lie in front of the band's own, where something reaches `reach` rows back.
  int64_t kept(int64_t reach) const noexcept { return top ? 0 : reach; }
  /// Rows that a convolution over three rows gives for `rows`.
  int64_t conv_rows(int64_t rows) const noexcept { return rows + (bottom ? 1 : 0) - (top ? 1 : 0); }
  /// Rows that the decoder's doubling convolution gives.
  int64_t doubled_rows(int64_t rows) const noexcept { return conv_rows(2 * rows); }
  /// Rows of zeros that a frame of a true band has beyond the frame's edge: a convolution over it needs no padding.
  int64_t zeros_above() const noexcept { return top && !bottom ? 1 : 0; }
  int64_t zeros_below() const noexcept { return bottom && !top ? 1 : 0; }
};

/// How many rows back the stages reach: two for a residual block's convolutions; 2.2's shortcut waits for all of them.
constexpr int64_t block_reach = 2;
int64_t up_reach(const VaeStage& stage, bool shortcut) noexcept;
/// Rows that the residual blocks of a stage give for `rows`, and the whole stage of the decoder.
int64_t block_rows(const VaeStage& stage, const RowBand& band, int64_t rows) noexcept;
int64_t up_rows(const VaeStage& stage, const RowBand& band, int64_t rows) noexcept;

/// One band of the decoder, from the latents' rows to those of the image.
struct DecoderBand {
  RowBand edges;
  RowRange latent;
  std::vector<RowRange> layers;  ///< what each residual block, doubling and the head give, in order
  const RowRange& image() const noexcept { return layers.back(); }
};

/// The most bands that latents of `height` rows can be decoded in; at least one.
int64_t most_decoder_bands(const std::vector<VaeStage>& up, int64_t height);
/// Bands of about equal height in the image, those in the middle exactly equal in every layer. Throws
/// Error(invalid_argument) for less than one and for more than most_decoder_bands.
std::vector<DecoderBand> plan_decoder_bands(const std::vector<VaeStage>& up, int64_t height, int64_t bands);

/// The last rows of every frame of one layer, from one band to the next.
class KeptRows {
 public:
  KeptRows() = default;
  /// Of `frames` frames the last `reach` rows.
  KeptRows(int64_t frames, int64_t reach) noexcept : frames_(frames), reach_(reach) {}
  void start_band() noexcept { next_ = 0; }
  /// Fills in the rows kept in front of the next frame's own and keeps its last ones. frame [1, kept + rows, W, C];
  /// memory comes from ctx.arena->memory(), once.
  void pass(Context& ctx, const RowBand& band, const Tensor& frame);
  int64_t bytes() const noexcept { return rows_.buffer.size(); }

 private:
  int64_t frames_ = 0, reach_ = 0, next_ = 0;
  OwnedTensor rows_;  // [frames, reach, W, C]
};

}  // namespace wan::models
