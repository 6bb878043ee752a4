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

RowBand RowBand::halved() const noexcept {
  const auto half = [](int64_t row) { return (row - 1 - ((row - 1) & 1)) / 2; };  // rounded down, below zero too
  return {height / 2, half(begin), half(end), top, last};
}

RowBand RowBand::down(const VaeStage& stage) const noexcept {
  return stage.resample ? blocks(stage).halved() : blocks(stage);
}

int64_t up_reach(const VaeStage& stage, bool shortcut) noexcept {
  return stage.resample && shortcut ? 2 * stage.blocks + 1 : block_reach;
}

int64_t down_reach(const VaeStage& stage, bool shortcut) noexcept {
  return shortcut ? 2 * stage.blocks + (stage.resample ? 2 : 0) : block_reach;
}

namespace {

int64_t scale_of(const std::vector<VaeStage>& stages) {
  return int64_t{1} << std::count_if(stages.begin(), stages.end(), [](const VaeStage& s) { return s.resample; });
}

// How many rows of the latents the encoder's bands lie higher in them than in the image.
int64_t encoder_lag(const std::vector<VaeStage>& down) {
  RowBand band = RowBand{}.conv();
  for (const VaeStage& s : down) band = band.down(s);
  return -band.begin;
}

// Where bands end that share `height` rows, the first from `ahead` rows further down on. Frames with rows of zeros
// share no places (see FramePools), so the outer bands are an eighth smaller, but the first has at least `least` rows.
std::vector<int64_t> cuts(int64_t height, int64_t bands, int64_t ahead, int64_t least) {
  int64_t each = div_up(4 * height, 4 * bands - 1);
  const auto outer = [&] { return std::max(each * 7 / 8, least); };
  while (bands > 1 && outer() + (bands - 2) * each >= height) --each;
  std::vector<int64_t> ends;
  for (int64_t i = 0; i < bands; ++i) ends.push_back(ahead + outer() + i * each);
  return ends;
}

std::vector<RowBand> bands_between(const std::vector<int64_t>& ends, int64_t height, int64_t scale) {
  std::vector<RowBand> plan;
  for (size_t i = 0; i < ends.size(); ++i)
    plan.push_back({height * scale, i == 0 ? 0 : ends[i - 1] * scale, ends[i] * scale, i == 0, i + 1 == ends.size()});
  return plan;
}

}  // namespace

std::vector<RowBand> plan_decoder_bands(const std::vector<VaeStage>& up, int64_t height, int64_t bands) {
  require(bands >= 1 && bands <= height, ErrorCode::invalid_argument,
          "[VAE decoder] {} bands, expected 1 to {} for latents of {} rows", bands, height, height);
  // How much higher than in the latents a band lies in the image, in rows of the latents.
  RowBand image;
  for (const VaeStage& s : up) image = image.up(s);
  const int64_t ahead = -image.conv().begin / scale_of(up);
  return bands_between(cuts(height, bands, ahead, 1), height, 1);
}

int64_t most_encoder_bands(const std::vector<VaeStage>& down, int64_t height) {
  return std::max<int64_t>(height - encoder_lag(down), 1);
}

std::vector<RowBand> plan_encoder_bands(const std::vector<VaeStage>& down, int64_t height, int64_t bands) {
  const int64_t most = most_encoder_bands(down, height);
  require(bands >= 1 && bands <= most, ErrorCode::invalid_argument,
          "[VAE encoder] {} bands, expected 1 to {} for latents of {} rows", bands, most, height);
  return bands_between(cuts(height, bands, 0, encoder_lag(down) + 1), height, scale_of(down));
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
