#include "models/row_bands.h"

#include <algorithm>

#include "core/error.h"
#include "ops/elementwise.h"

namespace wan::models {
RowRange RowBand::own() const noexcept {
  return {top ? 0 : std::min(begin, height), last ? height : std::min(end, height)};
}

int64_t RowBand::kept(int64_t reach) const noexcept { return top ? 0 : std::min(reach, own().begin); }

RowBand RowBand::blocks(const VaeStage& stage) const noexcept {
  RowBand band = *this;
  for (int64_t i = 0; i < stage.blocks; ++i) band = band.block();
  return band;
}

RowBand RowBand::up(const VaeStage& stage) const noexcept {
  return stage.resample ? blocks(stage).doubled() : blocks(stage);
}

int64_t up_reach(const VaeStage& stage, bool shortcut) noexcept {
  return stage.resample && shortcut ? 2 * stage.blocks + 1 : block_reach;
}

std::vector<RowBand> plan_decoder_bands(const std::vector<VaeStage>& up, int64_t height, int64_t bands) {
  require(bands >= 1 && bands <= height, ErrorCode::invalid_argument,
          "[VAE decoder] {} bands, expected 1 to {} for latents of {} rows", bands, height, height);
  // How much higher than in the latents a band lies in the image, in rows of the latents.
  RowBand image;
  int64_t scale = 1;
  for (const VaeStage& s : up) {
    image = image.up(s);
    if (s.resample) scale *= 2;
  }
  const int64_t ahead = -image.conv().begin / scale;

  // Frames with rows of zeros share no places (see FramePools), so the outer bands are an eighth smaller.
  int64_t each = div_up(4 * height, 4 * bands - 1);
  const auto outer = [&] { return std::max<int64_t>(each * 7 / 8, 1); };
  while (bands > 1 && outer() + (bands - 2) * each >= height) --each;
  const auto start = [&](int64_t i) { return i == 0 ? 0 : ahead + outer() + (i - 1) * each; };
  std::vector<RowBand> plan;
  for (int64_t i = 0; i < bands; ++i) plan.push_back({height, start(i), start(i + 1), i == 0, i + 1 == bands});
  return plan;
}

void KeptRows::pass(Context& ctx, const RowBand& band, const Tensor& frame) {
  if (band.all()) return;
  require(next_ < frames_, ErrorCode::invalid_argument, "[VAE] frame {} of a band of {} frames", next_ + 1, frames_);
  if (!rows_.tensor)
    rows_ = OwnedTensor(ctx.arena->memory(), frame.dtype, {frames_, reach_, frame.dim(2), frame.dim(3)});
  const Tensor kept = rows_.tensor.slice(0, next_++, 1);
  const int64_t before = band.kept(reach_), after = std::min(reach_, frame.dim(1));
  if (before > 0) ops::copy(ctx, kept.slice(1, 0, before), frame.slice(1, 0, before));
  if (!band.last) ops::copy(ctx, frame.slice(1, frame.dim(1) - after, after), kept.slice(1, 0, after));
}

}  // namespace wan::models
