#pragma once
#include <cstdint>
#include <vector>

#include "core/context.h"
#include "models/frame_window.h"
#include "models/vae.h"
#include "parallel/mesh.h"

/// The autoencoders in horizontal bands: all frames of one band of rows, then all frames of the next, so that what
/// convolutions keep of earlier frames is that of one band. Nothing is computed twice. A convolution over three rows
/// lacks the row below a band; it gives one row less at the bottom of the band and one more at its top, for which the
/// last rows of the band before are kept. So the rows of each layer lie a little higher than those of its input:
///
///     layer   band 0         band 1
///     input   [0, n)         [n, m)
///     conv    [0, n - 1)     [n - 1, m - 1)
///     doubled [0, 2n - 1)    [2n - 1, 2m - 1)     (nearest neighbour, then a convolution)
///
/// Bands go on below the frame until the last layer has come to its last row, which by then the first ones have passed:
/// so bands are about equal in all layers that matter.
namespace wan::models {

/// Rows [begin, end) of a layer's frames.
struct RowRange {
  int64_t begin = 0, end = 0;
  int64_t count() const noexcept { return end - begin; }
  bool operator==(const RowRange&) const = default;
};

/// Where ranks share the bands: which ones have those above and below, -1 for this one itself. Kept rows go from rank
/// to rank as soon as a layer has them, so that all work at once, a layer behind each other.
struct RowExchange {
  comm::Communicator* ranks = nullptr;
  int above = -1, below = -1;
};

/// One band in one layer. The default is whole frames, `height` then matters only for what is asked about rows.
struct RowBand {
  int64_t height = 0;                     // of the layer's frames
  int64_t begin = 0, end = 0;             // these rows, of which those from `height` on do not exist
  bool top = true;                        // from the first row on, whatever `begin`
  bool last = true;                       // to the last row, whatever `end`
  const RowExchange* exchange = nullptr;  // absent where one rank has all bands

  RowRange own() const noexcept;
  int64_t rows() const noexcept { return own().count(); }
  bool all() const noexcept { return top && last; }
  /// A convolution over three rows gets to the last row in this band, and has got there before it.
  bool to_bottom() const noexcept { return last || end > height; }
  bool done() const noexcept { return !top && begin > height; }
  bool whole() const noexcept { return top && to_bottom(); }
  /// How many rows of the band before lie in front of the band's own, where something reaches `reach` rows back.
  int64_t kept(int64_t reach) const noexcept;
  /// Rows of zeros beyond the edges of the frame that a convolution gets with the band's, unless it gets whole frames.
  ZeroRows zeros() const noexcept { return {top && !whole() ? 1 : 0, to_bottom() && !whole() && !done() ? 1 : 0}; }

  /// The band in the result of a convolution over three rows, of a residual block, of the decoder's doubling
  /// convolution, and of a whole stage of the decoder.
  RowBand conv() const noexcept { return {height, begin - 1, end - 1, top, last, exchange}; }
  RowBand block() const noexcept { return conv().conv(); }
  RowBand doubled() const noexcept { return {2 * height, 2 * begin - 1, 2 * end - 1, top, last, exchange}; }
  RowBand blocks(const VaeStage& stage) const noexcept;
  RowBand up(const VaeStage& stage) const noexcept;
  /// The band in the result of the encoder's halving convolution, which sees its own row and the two below, and of a
  /// whole stage of the encoder.
  RowBand halved() const noexcept;
  RowBand down(const VaeStage& stage) const noexcept;
};

/// How many rows back the stages reach: two for a residual block's convolutions; 2.2's shortcut waits for all of them.
constexpr int64_t block_reach = 2;
int64_t up_reach(const VaeStage& stage, bool shortcut) noexcept;
int64_t down_reach(const VaeStage& stage, bool shortcut) noexcept;

/// Bands of latents of `height` rows for the decoder: equal but for the first and the last in every layer, and such
/// that all take about the same memory. Throws Error(invalid_argument) for less than one and for more than `height`.
std::vector<RowBand> plan_decoder_bands(const std::vector<VaeStage>& up, int64_t height, int64_t bands);
/// The same for bands between which ranks exchange rows: the last one begins before the latents end, so that all have
/// rows in every layer, if that can be.
std::vector<RowBand> plan_shared_bands(const std::vector<VaeStage>& up, int64_t height, int64_t bands);
/// Of `ranks`, how many can share the bands, `bands_each` each: all bands must have rows in every layer. At least 1.
int64_t decoder_ranks(const std::vector<VaeStage>& up, int64_t height, int64_t ranks, int64_t bands_each);
/// How many bands each must take, at least, for all together to take no fewer than `bands`.
int64_t decoder_bands_each(const std::vector<VaeStage>& up, int64_t height, int64_t ranks, int64_t bands);
/// Bands of the image for the encoder, likewise; latents have `height` rows. The first one must be large enough to give
/// some of the latents: throws Error(invalid_argument) for more than most_encoder_bands.
std::vector<RowBand> plan_encoder_bands(const std::vector<VaeStage>& down, int64_t height, int64_t bands);
int64_t most_encoder_bands(const std::vector<VaeStage>& down, int64_t height);

/// The last rows of every frame of one layer, from one band to the next.
class KeptRows {
 public:
  KeptRows() = default;
  /// Of `frames` frames the last `reach` rows.
  KeptRows(int64_t frames, int64_t reach) noexcept : frames_(frames), reach_(reach) {}
  void start_band() noexcept { next_ = 0; }
  /// Fills in the rows kept in front of the next frame's own and keeps its last ones for the next band, or exchanges
  /// them with the ranks that have the bands around it.
  /// frame [1, band.kept(reach) + band.rows(), W, C]; memory comes from ctx.arena->memory(), once.
  void pass(Context& ctx, const RowBand& band, const Tensor& frame);
  int64_t bytes() const noexcept { return rows_.buffer.size(); }

 private:
  int64_t frames_ = 0, reach_ = 0, next_ = 0;
  OwnedTensor rows_;  // [frames, reach, W, C]
};

}  // namespace wan::models
