#include "models/vae_blocks.h"

#include <cmath>

#include "ops/attention.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace wan::models {
namespace {

using ops::ConvShape;

// Zeros on the right and below only, then every second position: the encoder's ZeroPad2d and strided Conv2d.
constexpr ConvShape halve_space{{1, 2, 2}, 0, 1, 0, 1, false, false};
// Every second frame of what history and chunk hold together, without zeros in front.
constexpr ConvShape halve_time{{2, 1, 1}, 0, 0, 0, 0, true, false};
// The decoder's nearest-neighbour Upsample and Conv2d.
constexpr ConvShape double_space{{1, 1, 1}, 1, 1, 1, 1, false, true};

int64_t time_factor(const VaeStage& s) { return s.time ? 2 : 1; }
int64_t space_factor(const VaeStage& s) { return s.resample ? 2 : 1; }

Shape with_rows(Shape shape, int64_t rows) {
  shape[1] = rows;
  return shape;
}

// The next frame of a convolution over three frames and three rows, and the rows of it that are not zeros beyond the
// edges of the image. Nobody writes to those: a band's windows are zeros at first.
struct NextFrame {
  Tensor frame, rows;
};

NextFrame next_frame(Context& ctx, const RowBand& band, FrameWindow& window, FramePools& pools, DType dtype,
                     const Shape& rows) {
  const ZeroRows zeros = band.zeros();
  const Tensor frame = window.next(ctx, pools, dtype, with_rows(rows, zeros.above + rows[1] + zeros.below), zeros);
  return {frame, frame.slice(1, zeros.above, rows[1])};
}

// The residual blocks of a stage on one frame, x to y. x is overwritten unless `keep`. Results alternate between y and
// one other place, so that the last one is y.
void residual_blocks_of_frame(Context& ctx, const VaeStageWeights& w, VaeStageState& state, FramePools& pools,
                              const Tensor& x, bool keep, const Tensor& y) {
  Tensor now = x, other;
  for (size_t i = 0; i < w.blocks.size(); ++i) {
    const bool to_y = (w.blocks.size() - i) % 2 == 1;
    if (!to_y && !other) other = i > 0 && !keep && x.shape == y.shape ? x : ctx.make(y.dtype, y.shape);
    const Tensor next = to_y ? y : other;
    residual_block(ctx, w.blocks[i], {}, state.blocks[i], pools, now, next);
    now = next;
  }
}

// The same on a band of one frame; each block's result makes place for the rows that the next one needs of the band
// before. x stays.
void residual_blocks_of_band(Context& ctx, const VaeStageWeights& w, RowBand band, VaeStageState& state,
                             FramePools& pools, const Tensor& x, const Tensor& y) {
  const auto scope = ctx.arena->scope();
  Tensor now = x;
  for (size_t i = 0; i + 1 < w.blocks.size(); ++i) {
    const RowBand made = band.block();
    const int64_t kept = made.kept(block_reach);
    const Tensor next = ctx.make(y.dtype, with_rows(y.shape, kept + made.rows()));
    residual_block(ctx, w.blocks[i], band, state.blocks[i], pools, now, next.slice(1, kept, made.rows()));
    state.blocks[i + 1].input.pass(ctx, made, next);
    now = next;
    band = made;
  }
  residual_block(ctx, w.blocks.back(), band, state.blocks.back(), pools, now, y);
}

// The same for a chunk, frame by frame: the windows make that equal, and scratch is that of one frame.
void residual_blocks(Context& ctx, const VaeStageWeights& w, VaeStageState& state, FramePools& pools, const Tensor& x,
                     bool keep, const Tensor& y) {
  for (int64_t t = 0; t < x.dim(0); ++t) {
    const auto scope = ctx.arena->scope();
    residual_blocks_of_frame(ctx, w, state, pools, x.slice(0, t, 1), keep, y.slice(0, t, 1));
  }
}

// The same into scratch.
Tensor residual_blocks(Context& ctx, const VaeStageWeights& w, VaeStageState& state, FramePools& pools, const Tensor& x,
                       bool keep) {
  Shape shape = x.shape;
  shape[3] = w.blocks.back().norm2.dim(0);
  const Tensor y = ctx.make(x.dtype, shape);
  residual_blocks(ctx, w, state, pools, x, keep, y);
  return y;
}

// down_stage in bands.
void down_stage_of_band(Context& ctx, const VaeStageRun& run, const VaeStageWeights& w, VaeStageState& state,
                        FramePools& pools, const Tensor& x, const Tensor& y) {
  const RowBand &band = run.band, made = band.blocks(run.stage), result = band.down(run.stage);
  const int64_t kept = band.kept(down_reach(run.stage, run.shortcut)), rows = result.rows();
  const auto blocks_into = [&](int64_t t, const Tensor& to) {
    const int64_t unseen = kept - band.kept(block_reach);  // only the shortcut reaches there
    residual_blocks_of_band(ctx, w, band, state, pools, x.slice(0, t, 1).slice(1, unseen, x.dim(1) - unseen), to);
  };
  if (!run.stage.resample) {
    for (int64_t t = 0; t < x.dim(0); ++t) blocks_into(t, y.slice(0, t, 1));
  } else {
    const bool thin = run.stage.time && !run.first;
    const Tensor half = thin ? ctx.make(y.dtype, {x.dim(0), rows, y.dim(2), y.dim(3)}) : y;
    const int64_t above = made.kept(block_reach), lower = 2 * result.own().begin - (made.own().begin - above);
    ConvShape shape = halve_space;
    shape.pad_bottom = made.to_bottom() ? 1 : 0;
    for (int64_t t = 0; t < x.dim(0); ++t) {
      const auto scope = ctx.arena->scope();
      const Tensor h = ctx.make(x.dtype, {1, above + made.rows(), x.dim(2), run.stage.out});
      blocks_into(t, h.slice(1, above, made.rows()));
      state.space.pass(ctx, made, h);
      if (rows > 0)
        ops::conv_into(ctx, h.slice(1, lower, 2 * rows + 1 - shape.pad_bottom), {}, w.space.weight, w.space.bias, shape,
                       half.slice(0, t, 1));
    }
    if (rows > 0 && thin) ops::conv_into(ctx, half, state.time.history(), w.time.weight, w.time.bias, halve_time, y);
    if (rows > 0 && run.stage.time) state.time.push(ctx, half, 1);
  }
  if (rows == 0 || !run.shortcut) return;
  const int64_t factor = space_factor(run.stage), lower = factor * result.own().begin - (band.own().begin - kept);
  const Tensor part = ctx.make(x.dtype, {x.dim(0), factor * rows, x.dim(2), x.dim(3)});
  for (int64_t t = 0; t < x.dim(0); ++t)
    ops::copy(ctx, x.slice(0, t, 1).slice(1, lower, factor * rows), part.slice(0, t, 1));
  ops::add_avg_down(ctx, y, part, time_factor(run.stage), factor);
}

void keep_rows_of_stage(VaeStageState& stage, int64_t frames, int64_t input_reach, int64_t space_reach) {
  stage.input = KeptRows(frames, input_reach);
  stage.space = KeptRows(frames, space_reach);
  for (VaeResidualState& block : stage.blocks) {
    block.input = KeptRows(frames, block_reach);
    block.inner = KeptRows(frames, block_reach);
  }
}

}  // namespace

VaeState::VaeState(const std::vector<VaeStage>& config) : stages(config.size()) {
  for (size_t i = 0; i < config.size(); ++i) stages[i].blocks.resize(static_cast<size_t>(config[i].blocks));
}

void VaeState::keep_rows_up(const std::vector<VaeStage>& config, bool shortcut, int64_t frames) {
  for (size_t i = 0; i < config.size(); ++i) {
    keep_rows_of_stage(stages[i], frames, up_reach(config[i], shortcut), 1);
    if (config[i].time) frames = 2 * frames - 1;
  }
  head_input = KeptRows(frames, block_reach);
}

void VaeState::keep_rows_down(const std::vector<VaeStage>& config, bool shortcut, int64_t frames) {
  for (size_t i = 0; i < config.size(); ++i) {
    keep_rows_of_stage(stages[i], frames, down_reach(config[i], shortcut), block_reach);
    if (config[i].time) frames = (frames + 1) / 2;
  }
}

void VaeState::start_band() {
  pools = {};
  conv_in = {};
  head = {};
  head_input.start_band();
  for (VaeStageState& s : stages) {
    for (VaeResidualState& block : s.blocks) {
      block.conv1 = {};
      block.conv2 = {};
      block.input.start_band();
      block.inner.start_band();
    }
    s.time = {};
    s.input.start_band();
    s.space.start_band();
  }
  first = true;
}

int64_t VaeState::bytes() const noexcept {
  int64_t total = pools.bytes() + head_input.bytes();
  for (const VaeStageState& s : stages) {
    total += s.time.bytes() + s.input.bytes() + s.space.bytes();
    for (const VaeResidualState& block : s.blocks) total += block.input.bytes() + block.inner.bytes();
  }
  return total;
}

void causal_conv(Context& ctx, const ConvWeights& w, const RowBand& band, FrameWindow& window, const Tensor& next,
                 const Tensor& y, const Tensor& residual) {
  ConvShape shape = ConvShape::same(w.weight.dim(2));
  if (!band.whole()) shape.pad_top = shape.pad_bottom = 0;
  shape.newest_first = window.newest_first();
  ops::conv_into(ctx, next, window.history(), w.weight, w.bias, shape, y, residual);
  window.push(ctx);
}

void causal_conv_of(Context& ctx, const ConvWeights& w, const RowBand& band, FrameWindow& window, FramePools& pools,
                    const Tensor& x, const Tensor& y) {
  const NextFrame next = next_frame(ctx, band, window, pools, x.dtype, x.shape);
  ops::copy(ctx, x, next.rows);
  causal_conv(ctx, w, band, window, next.frame, y);
}

Tensor pointwise(Context& ctx, const ConvWeights& w, const Tensor& x, int64_t rows) {
  const int64_t in = x.dim(3), all = w.weight.dim(0), out = rows < 0 ? all : rows;
  const Tensor weight = w.weight.view({all, in}).slice(0, 0, out);
  const Tensor y = ops::linear(ctx, x.view({x.numel() / in, in}), weight, w.bias.slice(0, 0, out));
  return y.view({x.dim(0), x.dim(1), x.dim(2), out});
}

void residual_block(Context& ctx, const VaeResidualWeights& w, const RowBand& band, VaeResidualState& state,
                    FramePools& pools, const Tensor& x, const Tensor& y) {
  const auto scope = ctx.arena->scope();
  const RowBand inner = band.conv();
  const int64_t kept = inner.kept(block_reach), rows = band.whole() ? x.dim(1) : inner.rows();
  const Tensor h = rows == y.dim(1) ? y : ctx.make(y.dtype, with_rows(y.shape, rows));
  if (rows > 0) {
    const NextFrame first = next_frame(ctx, band, state.conv1, pools, x.dtype, x.shape);
    ops::channel_norm_into(ctx, x, w.norm1, true, first.rows);
    causal_conv(ctx, w.conv1, band, state.conv1, first.frame, h);
  }
  if (y.dim(1) == 0) return;
  const NextFrame second = next_frame(ctx, inner, state.conv2, pools, y.dtype, with_rows(y.shape, kept + rows));
  ops::channel_norm_into(ctx, h, w.norm2, true, second.rows.slice(1, kept, rows));
  state.inner.pass(ctx, inner, second.rows);
  // What of x is as high in the image as y.
  const int64_t lower = inner.conv().own().begin - (band.own().begin - band.kept(block_reach));
  const Tensor same = x.slice(1, lower, y.dim(1));
  causal_conv(ctx, w.conv2, inner, state.conv2, second.frame, y,
              w.shortcut.weight ? pointwise(ctx, w.shortcut, same) : same);
}

void attention_block(Context& ctx, const VaeAttentionWeights& w, const Tensor& x) {
  const int64_t pixels = x.dim(1) * x.dim(2), c = x.dim(3);
  const Tensor weight = w.qkv.weight.view({3 * c, c});
  for (int64_t t = 0; t < x.dim(0); ++t) {
    const auto scope = ctx.arena->scope();
    const Tensor frame = x.slice(0, t, 1).view({pixels, c});
    const Tensor n = ops::channel_norm(ctx, frame, w.norm, false);
    const auto project = [&](int64_t part) {
      return ops::linear(ctx, n, weight.slice(0, part * c, c), w.qkv.bias.slice(0, part * c, c)).view({pixels, 1, c});
    };
    const Tensor q = project(0), k = project(1), v = project(2);
    const Tensor y = ops::attention(ctx, q, k, v, 1.f / std::sqrt(static_cast<float>(c)));
    ops::add(ctx, frame, ops::linear(ctx, y.view({pixels, c}), w.proj.weight.view({c, c}), w.proj.bias));
  }
}

void middle_blocks(Context& ctx, const VaeMiddleWeights& w, VaeState& state, const Tensor& x) {
  const auto scope = ctx.arena->scope();
  const Tensor h = ctx.make(x.dtype, x.shape);
  residual_block(ctx, w.before, {}, state.before, state.pools, x, h);
  attention_block(ctx, w.attention, h);
  residual_block(ctx, w.after, {}, state.after, state.pools, h, x);
}

void head(Context& ctx, const VaeHeadWeights& w, const RowBand& band, FrameWindow& window, FramePools& pools,
          const Tensor& x, const Tensor& y) {
  const NextFrame next = next_frame(ctx, band, window, pools, x.dtype, x.shape);
  ops::channel_norm_into(ctx, x, w.norm, true, next.rows);
  causal_conv(ctx, w.conv, band, window, next.frame, y);
}

Shape up_shape(const VaeStageRun& run, const Shape& x, int64_t channels) {
  const int64_t t = run.first ? 1 : time_factor(run.stage), s = space_factor(run.stage);
  return {x[0] * t, run.band.up(run.stage).rows(), x[2] * s, channels};
}

Shape down_shape(const VaeStageRun& run, const Shape& x, int64_t channels) {
  const int64_t t = run.first ? 1 : time_factor(run.stage), s = space_factor(run.stage);
  return {x[0] / t, run.band.all() ? x[1] / s : run.band.down(run.stage).rows(), x[2] / s, channels};
}

void up_stage(Context& ctx, const VaeStageRun& run, const VaeStageWeights& w, VaeStageState& state, FramePools& pools,
              const Tensor& x, const Tensor& y) {
  const auto scope = ctx.arena->scope();
  const RowBand& band = run.band;
  const int64_t kept = band.kept(up_reach(run.stage, run.shortcut));
  const auto blocks_into = [&](const Tensor& to, bool keep) {
    if (band.all()) return residual_blocks(ctx, w, state, pools, x, keep, to);
    const int64_t unseen = kept - band.kept(block_reach);  // only the shortcut reaches there
    residual_blocks_of_band(ctx, w, band, state, pools, x.slice(1, unseen, x.dim(1) - unseen), to);
  };
  if (!run.stage.resample) return blocks_into(y, false);

  const RowBand made = band.blocks(run.stage);
  const int64_t above = made.kept(1), rows = made.rows();
  Tensor h = ctx.make(x.dtype, {x.dim(0), above + rows, x.dim(2), run.stage.out});
  blocks_into(h.slice(1, above, rows), run.shortcut);
  state.space.pass(ctx, made, h);
  if (y.dim(1) == 0) return;
  if (run.stage.time && !run.first) {
    const Tensor pairs = ctx.make(h.dtype, {h.dim(0), h.dim(1), h.dim(2), 2 * h.dim(3)});
    ops::conv_into(ctx, h, state.time.history(), w.time.weight, w.time.bias, ConvShape::same(1), pairs);
    state.time.push(ctx, h);
    h = ops::interleave_time(ctx, pairs);
  }
  ConvShape shape = double_space;
  if (!made.top) shape.pad_top = 0;
  if (!made.to_bottom()) shape.pad_bottom = 0;
  const int64_t factor = time_factor(run.stage), dropped = run.first ? factor - 1 : 0;
  const int64_t lower = made.doubled().own().begin - 2 * (band.own().begin - kept);  // y's first row below doubled x's
  const int64_t at_once = band.all() ? h.dim(0) : 1;
  for (int64_t t = 0; t < h.dim(0); t += at_once) {
    const Tensor part = y.slice(0, t, at_once);
    ops::conv_into(ctx, h.slice(0, t, at_once), {}, w.space.weight, w.space.bias, shape, part);
    if (run.shortcut) ops::add_dup_up_part(ctx, part, x, factor, 2, dropped + t, lower);
  }
}

void down_stage(Context& ctx, const VaeStageRun& run, const VaeStageWeights& w, VaeStageState& state, FramePools& pools,
                const Tensor& x, const Tensor& y) {
  const auto scope = ctx.arena->scope();
  if (!run.band.all()) return down_stage_of_band(ctx, run, w, state, pools, x, y);
  if (!run.stage.resample) {
    residual_blocks(ctx, w, state, pools, x, run.shortcut, y);
  } else {
    const Tensor h = residual_blocks(ctx, w, state, pools, x, run.shortcut);
    const bool thin = run.stage.time && !run.first;
    const Tensor half = thin ? ctx.make(y.dtype, {h.dim(0), y.dim(1), y.dim(2), y.dim(3)}) : y;
    ops::conv_into(ctx, h, {}, w.space.weight, w.space.bias, halve_space, half);
    if (thin) ops::conv_into(ctx, half, state.time.history(), w.time.weight, w.time.bias, halve_time, y);
    if (run.stage.time) state.time.push(ctx, half, 1);
  }
  if (run.shortcut) ops::add_avg_down(ctx, y, x, time_factor(run.stage), space_factor(run.stage));
}

}  // namespace wan::models
