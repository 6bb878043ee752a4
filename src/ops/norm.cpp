#include "ops/norm.h"

#include <cmath>
#include <vector>

#include "ops/checks.h"
#include "ops/layout.h"

namespace wan::ops {
namespace {

void check_residual(const char* op, const Tensor& x, DType out) {
  check(x && x.dtype == DType::f32 && x.rank() == 2, op, "x is {}, expected f32 [L, C]", x);
  check_contiguous(op, "x", x);
  check(is_float(out), op, "the result cannot be {}, only f32 or bf16", to_string(out));
}

// (cos, sin) of position * 10000^(-2i/d) for one axis; upstream's rope_params.
Tensor rope_axis(Context& ctx, int64_t positions, int64_t d) {
  const int64_t pairs = d / 2;
  std::vector<float> values(static_cast<size_t>(positions * pairs * 2));
  size_t at = 0;
  for (int64_t p = 0; p < positions; ++p)
    for (int64_t i = 0; i < pairs; ++i) {
      const double angle =
          static_cast<double>(p) / std::pow(10000.0, static_cast<double>(2 * i) / static_cast<double>(d));
      values[at++] = static_cast<float>(std::cos(angle));
      values[at++] = static_cast<float>(std::sin(angle));
    }
  return upload(ctx, values, {positions, pairs, 2});
}

}  // namespace

Tensor norm_modulate(Context& ctx, const Tensor& x, const Tensor& shift, const Tensor& scale, int64_t split, float eps,
                     DType out) {
  constexpr auto op = "norm_modulate";
  check_residual(op, x, out);
  check_rows(op, "shift", shift, x.dim(1));
  check_rows(op, "scale", scale, x.dim(1));
  check(shift.dim(0) == scale.dim(0), op, "shift is {} and scale is {}, expected equal shapes", shift, scale);
  const Tensor y = ctx.make(out, x.shape);
  call(ctx, op, &KernelTable::norm_modulate, NormModulateArgs{x, shift, scale, y, split, eps});
  return y;
}

Tensor layer_norm(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, float eps) {
  constexpr auto op = "layer_norm";
  check_residual(op, x, ctx.compute);
  check_parameter(op, "w", w, {x.dim(1)});
  check_parameter(op, "b", b, {x.dim(1)});
  const Tensor y = ctx.make(ctx.compute, x.shape);
  call(ctx, op, &KernelTable::layer_norm, LayerNormArgs{x, w, b, y, eps});
  return y;
}

void gated_add_norm(Context& ctx, const Tensor& x, const Tensor& y, const Tensor& gate, const NormRows& norm,
                    int64_t split, float eps, const Tensor& z) {
  constexpr auto op = "gated_add_norm";
  check_residual(op, x, z.dtype);
  check(z && z.shape == x.shape && z.contiguous(), op, "z is {}, expected contiguous {}", z, x.shape);
  check(y && is_float(y.dtype) && y.shape == x.shape && y.contiguous(), op, "y is {}, expected contiguous {}", y,
        x.shape);
  if (gate) check_rows(op, "gate", gate, x.dim(1));
  check_rows(op, "shift", norm.shift, x.dim(1));
  check_rows(op, "scale", norm.scale, x.dim(1));
  check(norm.shift.dim(0) == norm.scale.dim(0) && (!norm.plain || norm.scale.dim(0) == 1), op,
        "shift is {} and scale is {}, expected equal shapes (of one row for a plain norm)", norm.shift, norm.scale);
  call(ctx, op, &KernelTable::gated_add_norm,
       GatedAddNormArgs{x, y, gate, norm.shift, norm.scale, z, split, norm.plain ? 0.f : 1.f, eps});
}

Tensor rms_norm(Context& ctx, const Tensor& x, const Tensor& w, float eps, DType out) {
  constexpr auto op = "rms_norm";
  check_residual(op, x, out);
  check_parameter(op, "w", w, {x.dim(1)});
  const Tensor y = ctx.make(out, x.shape);
  call(ctx, op, &KernelTable::rms_norm, RmsNormArgs{x, w, y, eps});
  return y;
}

void channel_norm_into(Context& ctx, const Tensor& x, const Tensor& gamma, bool silu, const Tensor& y) {
  constexpr auto op = "channel_norm";
  check(x && x.rank() >= 1 && is_float(x.dtype), op, "x is {}, expected [..., C] in f32 or bf16", x);
  check_contiguous(op, "x", x);
  const int64_t c = x.shape.back();
  check_parameter(op, "gamma", gamma, {c});
  check(y && y.dtype == x.dtype && y.shape == x.shape, op, "y is {}, expected {} {}", y, to_string(x.dtype), x.shape);
  check_contiguous(op, "y", y);
  if (x.numel() == 0) return;
  const Shape flat{x.numel() / c, c};
  call(ctx, op, &KernelTable::channel_norm, ChannelNormArgs{x.view(flat), gamma, y.view(flat), silu});
}

Tensor channel_norm(Context& ctx, const Tensor& x, const Tensor& gamma, bool silu) {
  const Tensor y = ctx.make(x.dtype, x.shape);
  channel_norm_into(ctx, x, gamma, silu, y);
  return y;
}

Rope3d make_rope(Context& ctx, int64_t frames, int64_t height, int64_t width, int64_t head_dim) {
  check(frames > 0 && height > 0 && width > 0 && head_dim > 0 && head_dim % 2 == 0, "make_rope",
        "a grid of {} x {} x {} tokens with heads of {}: sizes must be positive and the head dimension even", frames,
        height, width, head_dim);
  const int64_t side = 2 * (head_dim / 6);
  return {rope_axis(ctx, frames, head_dim - 2 * side), rope_axis(ctx, height, side), rope_axis(ctx, width, side)};
}

void rms_norm_rope(Context& ctx, const Tensor& x, const Tensor& w, const Rope3d* rope, int64_t heads, float eps,
                   int64_t first_token) {
  constexpr auto op = "rms_norm_rope";
  check_activation(op, "x", x, 2);
  check(x.dim(1) == 1 || x.stride(1) == 1, op, "the rows of x ({}) must be dense", x);
  check_parameter(op, "w", w, {x.dim(1)});
  check(heads > 0 && x.dim(1) % heads == 0, op, "x is {}, its width must be a multiple of the {} heads", x, heads);
  if (rope) {
    const int64_t pairs = rope->frame.dim(1) + rope->height.dim(1) + rope->width.dim(1);
    check(2 * pairs == x.dim(1) / heads, op, "the tables rotate {} channels of a head, but heads have {}", 2 * pairs,
          x.dim(1) / heads);
    check(first_token >= 0 && x.dim(0) <= rope->tokens() - first_token, op,
          "x has {} tokens from token {} on, the rotary tables only {}", x.dim(0), first_token, rope->tokens());
  }
  call(ctx, op, &KernelTable::rms_norm_rope, RmsNormRopeArgs{x, w, rope, heads, first_token, eps});
}

}  // namespace wan::ops
