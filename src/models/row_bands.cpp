#include "models/row_bands.h"

#include <algorithm>

#include "core/error.h"
#include "ops/elementwise.h"

namespace wan::models {
namespace {

// A row where a band ends, followed through the layers: how far above the image row of that number the image's band
// ends.
struct Lag {
  int64_t rows = 0, scale = 1;  // in rows of the image; image rows per row of the latents
};

Lag decoder_lag(const std::vector<VaeStage>& up) {
  Lag lag;
  for (const VaeStage& s : up) {
    lag.rows += 2 * s.blocks;
    if (!s.resample) continue;
    lag.rows = 2 * lag.rows + 1;
    lag.scale *= 2;
  }
  ++lag.rows;  // the head
  return lag;
}

// What a layer makes of a range, if a row is `scale` rows there and the bands lie `lag` rows higher.
RowRange follow(const RowBand& band, RowRange rows, int64_t scale, int64_t lag) {
  return {rows.begin * scale - (band.top ? 0 : lag), rows.end * scale - (band.bottom ? 0 : lag)};
}

}  // namespace

int64_t up_reach(const VaeStage& stage, bool shortcut) noexcept {
  return stage.resample && shortcut ? 2 * stage.blocks + 1 : block_reach;
}

int64_t block_rows(const VaeStage& stage, const RowBand& band, int64_t rows) noexcept {
  for (int64_t i = 0; i < 2 * stage.blocks; ++i) rows = band.conv_rows(rows);
  return rows;
}

int64_t up_rows(const VaeStage& stage, const RowBand& band, int64_t rows) noexcept {
  const int64_t made = block_rows(stage, band, rows);
  return stage.resample ? band.doubled_rows(made) : made;
}

int64_t most_decoder_bands(const std::vector<VaeStage>& up, int64_t height) {
  const Lag lag = decoder_lag(up);
  return std::max<int64_t>(height - lag.rows / lag.scale, 1);
}

std::vector<DecoderBand> plan_decoder_bands(const std::vector<VaeStage>& up, int64_t height, int64_t bands) {
  const int64_t most = most_decoder_bands(up, height);
  require(bands >= 1 && bands <= most, ErrorCode::invalid_argument,
          "[VAE decoder] {} bands, expected 1 to {} for latents of {} rows", bands, most, height);
  // The first band gives `extra` rows to the layers behind, whose bands lie that much higher; the last one gets them.
  const Lag lag = decoder_lag(up);
  const int64_t extra = lag.rows / lag.scale;
  const int64_t each = bands == 1 ? height : std::min(div_up(height, bands), (height - extra - 1) / (bands - 1));

  std::vector<DecoderBand> plan;
  for (int64_t i = 0; i < bands; ++i) {
    DecoderBand band;
    band.edges = {i == 0, i + 1 == bands};
    band.latent = {i == 0 ? 0 : extra + i * each, i + 1 == bands ? height : extra + (i + 1) * each};
    RowRange rows = band.latent;
    const auto layer = [&](int64_t scale, int64_t behind) {
      band.layers.push_back(rows = follow(band.edges, rows, scale, behind));
    };
    for (const VaeStage& s : up) {
      for (int64_t j = 0; j < s.blocks; ++j) layer(1, 2);
      if (s.resample) layer(2, 1);
    }
    layer(1, 1);
    plan.push_back(std::move(band));
  }
  return plan;
}

void KeptRows::pass(Context& ctx, const RowBand& band, const Tensor& frame) {
  if (band.whole()) return;
  require(next_ < frames_, ErrorCode::invalid_argument, "[VAE] frame {} of a band of {} frames", next_ + 1, frames_);
  if (!rows_.tensor)
    rows_ = OwnedTensor(ctx.arena->memory(), frame.dtype, {frames_, reach_, frame.dim(2), frame.dim(3)});
  const Tensor kept = rows_.tensor.slice(0, next_++, 1);
  if (!band.top) ops::copy(ctx, kept, frame.slice(1, 0, reach_));
  if (!band.bottom) ops::copy(ctx, frame.slice(1, frame.dim(1) - reach_, reach_), kept);
}

}  // namespace wan::models
