#include <algorithm>
#include <cmath>

#include "ops/cpu.h"
#include "ops/cpu_util.h"
#include "ops/simd.h"

namespace wan::ops::cpu {
namespace {

// f(i, scratch) for every row of a tensor [L, C]; scratch holds C floats of this thread.
template <class F>
void each_row(Context& ctx, const Tensor& x, const F& f) {
  const int64_t width = x.dim(1);
  const auto scope = ctx.arena->scope();
  const Tensor scratch = ctx.make(DType::f32, {ctx.threads, std::max<int64_t>(width, 1)});
  parallel_ranges(ctx, x.dim(0), width, [&](int64_t first, int64_t last, int thread) {
    float* line = row<float>(scratch, thread);
    for (int64_t i = first; i < last; ++i) f(i, line);
  });
}

// f(x, y): one row as f32 in and out, whatever the dtypes; `line` stands in for a bf16 row.
template <class F>
void in_f32(const Simd& s, const Tensor& x, const Tensor& y, int64_t i, float* line, const F& f) {
  const int64_t n = x.dim(1);
  const float* in = line;
  if (x.dtype == DType::bf16)
    s.widen(row<const bf16>(x, i), line, n);
  else
    in = row<const float>(x, i);
  f(in, y.dtype == DType::bf16 ? line : row<float>(y, i));
  if (y.dtype == DType::bf16) s.narrow(line, row<bf16>(y, i), n);
}

float inverse_rms(double squares, int64_t n, float eps) {
  return static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(eps)));
}

// Turns the pairs of every head by the angles of the token.
void rotate(const Simd& s, const RmsNormRopeArgs& a, int64_t token, float* x) {
  const Rope3d& r = *a.rope;
  const int64_t height = r.height.dim(0), width = r.width.dim(0), head = a.x.dim(1) / a.heads;
  const Tensor* axes[] = {&r.frame, &r.height, &r.width};
  const int64_t positions[] = {token / (height * width), token / width % height, token % width};
  for (int64_t h = 0; h < a.heads; ++h) {
    float* at = x + h * head;
    for (int axis = 0; axis < 3; ++axis) {
      const int64_t pairs = axes[axis]->dim(1);
      s.rotate(at, row<const float>(*axes[axis], positions[axis]), pairs);
      at += 2 * pairs;
    }
  }
}

}  // namespace

namespace {

void normalize(Context& ctx, const NormModulateArgs& a, float offset) {
  const Simd& s = simd();
  each_row(ctx, a.x, [&](int64_t i, float* line) {
    in_f32(s, a.x, a.y, i, line, [&](const float* x, float* y) {
      s.normalize(x, y, a.x.dim(1), a.eps, offset, modulation_row(a.scale, i, a.split),
                  modulation_row(a.shift, i, a.split));
    });
  });
}

}  // namespace

void norm_modulate(Context& ctx, const NormModulateArgs& a) { normalize(ctx, a, 1.f); }

void gated_add_norm(Context& ctx, const GatedAddNormArgs& a) {
  gated_add(ctx, {a.x, a.y, a.gate, a.split});
  normalize(ctx, {a.x, a.shift, a.scale, a.z, a.split, a.eps}, a.offset);
}

void layer_norm(Context& ctx, const LayerNormArgs& a) {
  const Simd& s = simd();
  each_row(ctx, a.x, [&](int64_t i, float* line) {
    in_f32(s, a.x, a.y, i, line, [&](const float* x, float* y) {
      s.normalize(x, y, a.x.dim(1), a.eps, 0.f, a.w.ptr<const float>(), a.b.ptr<const float>());
    });
  });
}

void rms_norm(Context& ctx, const RmsNormArgs& a) {
  const Simd& s = simd();
  const int64_t n = a.x.dim(1);
  each_row(ctx, a.x, [&](int64_t i, float* line) {
    in_f32(s, a.x, a.y, i, line, [&](const float* x, float* y) {
      s.scale(x, y, n, inverse_rms(s.square_sum(x, n), n, a.eps), a.w.ptr<const float>());
    });
  });
}

void channel_norm(Context& ctx, const ChannelNormArgs& a) {
  const Simd& s = simd();
  const int64_t n = a.x.dim(1);
  each_row(ctx, a.x, [&](int64_t i, float* line) {
    in_f32(s, a.x, a.y, i, line, [&](const float* x, float* y) {
      const double length = std::max(std::sqrt(s.square_sum(x, n)), 1e-12);
      s.scale(x, y, n, static_cast<float>(std::sqrt(static_cast<double>(n)) / length), a.gamma.ptr<const float>());
      if (a.silu) s.silu(y, y, n);
    });
  });
}

void rms_norm_rope(Context& ctx, const RmsNormRopeArgs& a) {
  const Simd& s = simd();
  const int64_t n = a.x.dim(1);
  each_row(ctx, a.x, [&](int64_t i, float* line) {
    in_f32(s, a.x, a.x, i, line, [&](const float* x, float* y) {
      s.scale(x, y, n, inverse_rms(s.square_sum(x, n), n, a.eps), a.w.ptr<const float>());
      if (a.rope) rotate(s, a, a.first_token + i, y);
    });
  });
}

}  // namespace wan::ops::cpu
