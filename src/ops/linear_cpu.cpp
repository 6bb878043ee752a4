#include <algorithm>
#include <cstring>

#include "ops/cpu_util.h"
#include "ops/plain_linear.h"
#include "ops/simd.h"

namespace wan::ops::cpu {
namespace {

constexpr int64_t rows_at_a_time = 768, inputs_at_a_time = 256, outputs_at_a_time = 128, panel_rows = 96;

void copy_row(const Simd&, const float* x, float* y, int64_t n) { std::copy_n(x, n, y); }
void copy_row(const Simd& s, const bf16* x, float* y, int64_t n) { s.widen(x, y, n); }
void copy_row(const Simd&, const bf16* x, bf16* y, int64_t n) { std::copy_n(x, n, y); }

Gemm<float> product(const Simd& s, float) { return s.gemm_f32; }
Gemm<bf16> product(const Simd& s, bf16) { return s.gemm_bf16; }

// y = act(sums + b) for one row, rounded once.
void finish(const Simd& s, const LinearArgs& a, float* sums, int64_t i, int64_t first, int64_t n) {
  if (a.b) s.add(sums, a.b.ptr<const float>() + first, n);
  if (a.activation == Activation::gelu_tanh) s.gelu_tanh(sums, sums, n);
  if (a.activation == Activation::silu) s.silu(sums, sums, n);
  if (a.y.dtype == DType::bf16)
    s.narrow(sums, row<bf16>(a.y, i) + first, n);
  else
    std::copy_n(sums, n, row<float>(a.y, i) + first);
}

// Each task makes a block of y: rows of x and w pass by in blocks that fit the caches, w packed for the products.
template <class T, class P>
void run(Context& ctx, const LinearArgs& a) {
  const Simd& s = simd();
  const int64_t m = a.x.dim(0), k = a.x.dim(1), n = a.w.dim(0);
  const int64_t rows = round_up(std::clamp<int64_t>(m, 1, rows_at_a_time), s.rows);
  const auto scope = ctx.arena->scope();
  const DType p_type = sizeof(P) == 2 ? DType::bf16 : DType::f32;
  const Tensor packed = ctx.make(p_type, {ctx.threads, inputs_at_a_time * outputs_at_a_time});
  const Tensor panel = ctx.make(p_type, {ctx.threads, panel_rows, inputs_at_a_time});
  const Tensor sums = ctx.make(DType::f32, {ctx.threads, rows, outputs_at_a_time});
  if (is_dry(ctx)) return;
  std::memset(panel.data, 0, static_cast<size_t>(panel.nbytes()));

  const int64_t n_blocks = div_up(n, outputs_at_a_time), m_blocks = div_up(m, rows);
  parallel_tasks(ctx, n_blocks * m_blocks, rows * outputs_at_a_time * k / 8, [&](int64_t task, int thread) {
    const int64_t first = task / m_blocks * outputs_at_a_time, width = std::min(outputs_at_a_time, n - first);
    const int64_t top = task % m_blocks * rows, height = std::min(rows, m - top);
    P *b = row<P>(packed, thread), *x = row<P>(panel, thread);
    float* c = row<float>(sums, thread);
    for (int64_t from = 0; from < k; from += inputs_at_a_time) {
      const int64_t depth = std::min(inputs_at_a_time, k - from);
      const int64_t padded = sizeof(P) == 2 ? round_up(depth, 2) : depth;
      pack_rows(s, a.w.ptr<const T>() + first * k + from, k, width, depth, b);
      for (int64_t i0 = 0; i0 < height; i0 += panel_rows) {
        const int64_t count = std::min(panel_rows, height - i0);
        for (int64_t i = 0; i < count; ++i) {
          copy_row(s, row<const T>(a.x, top + i0 + i) + from, x + i * inputs_at_a_time, depth);
          if (padded > depth) x[i * inputs_at_a_time + depth] = P{};
        }
        product(s, P{})(round_up(count, s.rows), round_up(width, s.columns), padded, x, inputs_at_a_time, b,
                        c + i0 * outputs_at_a_time, outputs_at_a_time, from > 0);
      }
    }
    for (int64_t i = 0; i < height; ++i) finish(s, a, c + i * outputs_at_a_time, top + i, first, width);
  });
}

}  // namespace

void plain_linear(Context& ctx, const LinearArgs& a) {
  if (a.x.dtype == DType::f32)
    run<float, float>(ctx, a);
  else if (simd().gemm_bf16)
    run<bf16, bf16>(ctx, a);
  else
    run<bf16, float>(ctx, a);
}

}  // namespace wan::ops::cpu
