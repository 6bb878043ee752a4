#include "models/vae_blocks.h"

#include <algorithm>
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

// The residual blocks of a stage on one frame. The result is `last` if that is present (it may be x), else scratch or x
// itself. x is overwritten unless `keep`.
Tensor residual_blocks_of_frame(Context& ctx, const VaeStageWeights& w, VaeStageState& state, const Tensor& x,
                                bool keep, const Tensor& last) {
  Tensor now = x;
  for (size_t i = 0; i < w.blocks.size(); ++i) {
    Shape shape = now.shape;
    shape[3] = w.blocks[i].norm2.dim(0);
    const bool in_place = shape == now.shape && !(keep && now.data == x.data);
    const bool final = last && i + 1 == w.blocks.size();
    const Tensor next = final ? last : in_place ? now : ctx.make(x.dtype, shape);
    residual_block(ctx, w.blocks[i], state.blocks[i], now, next);
    now = next;
  }
  return now;
}

// The same for a chunk, frame by frame: the caches make that equal, and scratch is that of one frame.
Tensor residual_blocks(Context& ctx, const VaeStageWeights& w, VaeStageState& state, const Tensor& x, bool keep,
                       const Tensor& last) {
  if (x.dim(0) == 1) return residual_blocks_of_frame(ctx, w, state, x, keep, last);
  Shape shape = x.shape;
  shape[3] = w.blocks.back().norm2.dim(0);
  const Tensor all = last ? last : ctx.make(x.dtype, shape);
  for (int64_t t = 0; t < x.dim(0); ++t) {
    const auto scope = ctx.arena->scope();
    residual_blocks_of_frame(ctx, w, state, x.slice(0, t, 1), keep, all.slice(0, t, 1));
  }
  return all;
}

}  // namespace

void FrameCache::push(Context& ctx, const Tensor& x, int64_t keep) {
  if (!frames_.tensor) {
    Shape shape = x.shape;
    shape[0] = keep;
    frames_ = OwnedTensor(ctx.arena->memory(), x.dtype, shape);
  }
  const int64_t fresh = std::min(x.dim(0), keep);
  const int64_t old = std::min(held_, keep - fresh);
  for (int64_t i = 0; i < old; ++i)
    if (held_ > old) ops::copy(ctx, frames_.tensor.slice(0, held_ - old + i, 1), frames_.tensor.slice(0, i, 1));
  ops::copy(ctx, x.slice(0, x.dim(0) - fresh, fresh), frames_.tensor.slice(0, old, fresh));
  held_ = old + fresh;
}

VaeState::VaeState(const std::vector<VaeStage>& config) : stages(config.size()) {
  for (size_t i = 0; i < config.size(); ++i) stages[i].blocks.resize(static_cast<size_t>(config[i].blocks));
}

int64_t VaeState::bytes() const noexcept {
  const auto of = [](const VaeResidualState& s) { return s.conv1.bytes() + s.conv2.bytes(); };
  int64_t total = conv_in.bytes() + head.bytes() + of(before) + of(after);
  for (const VaeStageState& s : stages) {
    total += s.time.bytes();
    for (const VaeResidualState& b : s.blocks) total += of(b);
  }
  return total;
}

void causal_conv(Context& ctx, const ConvWeights& w, FrameCache& cache, const Tensor& x, const Tensor& y) {
  ops::conv_into(ctx, x, cache.history(), w.weight, w.bias, ConvShape::same(w.weight.dim(2)), y);
  cache.push(ctx, x);
}

Tensor pointwise(Context& ctx, const ConvWeights& w, const Tensor& x, int64_t rows) {
  const int64_t in = x.dim(3), all = w.weight.dim(0), out = rows < 0 ? all : rows;
  const Tensor weight = w.weight.view({all, in}).slice(0, 0, out);
  const Tensor y = ops::linear(ctx, x.view({x.numel() / in, in}), weight, w.bias.slice(0, 0, out));
  return y.view({x.dim(0), x.dim(1), x.dim(2), out});
}

void residual_block(Context& ctx, const VaeResidualWeights& w, VaeResidualState& state, const Tensor& x,
                    const Tensor& y) {
  const auto block_scope = ctx.arena->scope();
  const Tensor h = ctx.make(y.dtype, y.shape);
  {
    const auto scope = ctx.arena->scope();
    causal_conv(ctx, w.conv1, state.conv1, ops::channel_norm(ctx, x, w.norm1, true), h);
  }
  ops::channel_norm_in_place(ctx, h, w.norm2, true);
  const bool in_place = y.data == x.data;
  const Tensor residual = in_place ? ctx.make(y.dtype, y.shape) : y;
  causal_conv(ctx, w.conv2, state.conv2, h, residual);
  if (in_place)
    ops::add(ctx, x, residual);
  else
    ops::add(ctx, y, w.shortcut.weight ? pointwise(ctx, w.shortcut, x) : x);
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
  residual_block(ctx, w.before, state.before, x, x);
  attention_block(ctx, w.attention, x);
  residual_block(ctx, w.after, state.after, x, x);
}

void head(Context& ctx, const VaeHeadWeights& w, FrameCache& cache, const Tensor& x, const Tensor& y) {
  ops::channel_norm_in_place(ctx, x, w.norm, true);
  causal_conv(ctx, w.conv, cache, x, y);
}

Shape up_shape(const VaeStageRun& run, const Shape& x, int64_t channels) {
  const int64_t t = run.first ? 1 : time_factor(run.stage), s = space_factor(run.stage);
  return {x[0] * t, x[1] * s, x[2] * s, channels};
}

Shape down_shape(const VaeStageRun& run, const Shape& x, int64_t channels) {
  const int64_t t = run.first ? 1 : time_factor(run.stage), s = space_factor(run.stage);
  return {x[0] / t, x[1] / s, x[2] / s, channels};
}

void up_stage(Context& ctx, const VaeStageRun& run, const VaeStageWeights& w, VaeStageState& state, const Tensor& x,
              const Tensor& y) {
  const auto scope = ctx.arena->scope();
  if (!run.stage.resample) {
    residual_blocks(ctx, w, state, x, false, y);
    return;
  }
  Tensor h = residual_blocks(ctx, w, state, x, run.shortcut, {});
  if (run.stage.time && !run.first) {
    const Tensor pairs = ctx.make(h.dtype, {h.dim(0), h.dim(1), h.dim(2), 2 * h.dim(3)});
    causal_conv(ctx, w.time, state.time, h, pairs);
    h = ops::interleave_time(ctx, pairs);
  }
  ops::conv_into(ctx, h, {}, w.space.weight, w.space.bias, double_space, y);
  if (run.shortcut) ops::add_dup_up(ctx, y, x, time_factor(run.stage), 2, run.first);
}

void down_stage(Context& ctx, const VaeStageRun& run, const VaeStageWeights& w, VaeStageState& state, const Tensor& x,
                const Tensor& y) {
  const auto scope = ctx.arena->scope();
  if (!run.stage.resample) {
    residual_blocks(ctx, w, state, x, run.shortcut, y);
  } else {
    const Tensor h = residual_blocks(ctx, w, state, x, run.shortcut, {});
    const bool thin = run.stage.time && !run.first;
    const Tensor half = thin ? ctx.make(y.dtype, {h.dim(0), y.dim(1), y.dim(2), y.dim(3)}) : y;
    ops::conv_into(ctx, h, {}, w.space.weight, w.space.bias, halve_space, half);
    if (thin) ops::conv_into(ctx, half, state.time.history(), w.time.weight, w.time.bias, halve_time, y);
    if (run.stage.time) state.time.push(ctx, half, 1);
  }
  if (run.shortcut) ops::add_avg_down(ctx, y, x, time_factor(run.stage), space_factor(run.stage));
}

}  // namespace wan::models
