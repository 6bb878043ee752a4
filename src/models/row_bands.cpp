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
  return {height / 2, half(begin), half(end), top, last, exchange};
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
// share no places (see FramePools), so the outer bands are an eighth smaller, but the first has at least `least` rows,
// and the last one begins before `limit`.
std::vector<int64_t> cuts(int64_t height, int64_t bands, int64_t ahead, int64_t least, int64_t limit) {
  int64_t each = div_up(4 * height, 4 * bands - 1);
  const auto outer = [&] { return std::max(each * 7 / 8, least); };
  while (bands > 1 && each > 1 && ahead + outer() + (bands - 2) * each >= limit) --each;
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

namespace {

std::vector<RowBand> decoder_bands(const std::vector<VaeStage>& up, int64_t height, int64_t bands, bool shared) {
  require(bands >= 1 && bands <= height, ErrorCode::invalid_argument,
          "[VAE decoder] {} bands, expected 1 to {} for latents of {} rows", bands, height, height);
  // How much higher than in the latents a band lies in the image, in rows of the latents.
  RowBand image;
  for (const VaeStage& s : up) image = image.up(s);
  const int64_t ahead = -image.conv().begin / scale_of(up);
  return bands_between(cuts(height, bands, ahead, 1, shared ? height : ahead + height), height, 1);
}

}  // namespace

std::vector<RowBand> plan_decoder_bands(const std::vector<VaeStage>& up, int64_t height, int64_t bands) {
  return decoder_bands(up, height, bands, false);
}

std::vector<RowBand> plan_shared_bands(const std::vector<VaeStage>& up, int64_t height, int64_t bands) {
  return decoder_bands(up, height, bands, true);
}

int64_t most_encoder_bands(const std::vector<VaeStage>& down, int64_t height) {
  return std::max<int64_t>(height - encoder_lag(down), 1);
}

std::vector<RowBand> plan_encoder_bands(const std::vector<VaeStage>& down, int64_t height, int64_t bands) {
  const int64_t most = most_encoder_bands(down, height);
  require(bands >= 1 && bands <= most, ErrorCode::invalid_argument,
          "[VAE encoder] {} bands, expected 1 to {} for latents of {} rows", bands, most, height);
  return bands_between(cuts(height, bands, 0, encoder_lag(down) + 1, height), height, scale_of(down));
}

int64_t decoder_ranks(const std::vector<VaeStage>& up, int64_t height, int64_t ranks, int64_t bands_each) {
  const auto has_all_rows = [&](RowBand band) {
    bool some = band.rows() > 0;
    for (const VaeStage& s : up) {
      for (int64_t i = 0; i < 2 * s.blocks; ++i) {
        band = band.conv();
        some = some && band.rows() > 0;
      }
      if (s.resample) band = band.doubled();
    }
    return some && band.conv().rows() > 0;
  };
  for (int64_t count = std::min(ranks, height / bands_each); count > 1; --count) {
    const std::vector<RowBand> plan = plan_shared_bands(up, height, count * bands_each);
    if (std::all_of(plan.begin(), plan.end(), has_all_rows)) return count;
  }
  return 1;
}

int64_t decoder_bands_each(const std::vector<VaeStage>& up, int64_t height, int64_t ranks, int64_t bands) {
  int64_t each = div_up(bands, ranks);
  while (each < bands && decoder_ranks(up, height, ranks, each) * each < bands) ++each;
  return each;
}

void KeptRows::pass(Context& ctx, const RowBand& band, const Tensor& frame) {
  if (band.all()) return;
  require(next_ < frames_, ErrorCode::invalid_argument, "[VAE] frame {} of a band of {} frames", next_ + 1, frames_);
  const int64_t before = band.kept(reach_), after = band.last ? 0 : std::min(reach_, frame.dim(1));
  const Tensor from_above = frame.slice(1, 0, before), to_below = frame.slice(1, frame.dim(1) - after, after);
  const int64_t index = next_++;
  const auto kept = [&](int64_t rows) {
    if (!rows_.tensor)
      rows_ = OwnedTensor(ctx.arena->memory(), frame.dtype, {frames_, reach_, frame.dim(2), frame.dim(3)});
    return rows_.tensor.slice(0, index, 1).slice(1, 0, rows);
  };
  const RowExchange* ranks = band.exchange;
  if (before > 0 && ranks && ranks->above >= 0)
    ranks->ranks->receive(parallel::bytes_of(from_above), ranks->above, ctx.stream);
  else if (before > 0)
    ops::copy(ctx, kept(before), from_above);
  if (after > 0 && ranks && ranks->below >= 0)
    ranks->ranks->send(parallel::bytes_of(to_below), ranks->below, ctx.stream);
  else if (after > 0)
    ops::copy(ctx, to_below, kept(after));
}

}  // namespace wan::models
