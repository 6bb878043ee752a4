#include <algorithm>
#include <cstring>
#include <limits>

#include "ops/cpu.h"
#include "ops/cpu_util.h"
#include "ops/simd.h"

namespace wan::ops::cpu {
namespace {

// FlashAttention's scheme (Dao et al. 2022) for caches: a block of queries stays while blocks of keys pass by;
// softmax is renormalised on the way. The keys and values of a few heads are packed for the products once.
struct Sizes {
  int64_t lq, lk, heads, d;
  int64_t queries, keys;  // of a block
  int64_t depth;          // d, padded for the products
  int64_t columns;        // d, padded to whole tiles
  int64_t q_blocks, k_blocks;
  int64_t group;  // heads packed at a time: enough to keep every thread busy
};

Sizes sizes(const AttentionArgs& a, const Simd& s, int threads) {
  Sizes z{a.q.dim(0), a.k.dim(0), a.q.dim(1), a.q.dim(2)};
  z.queries = round_up(std::min<int64_t>(z.lq, 96), s.rows);
  z.keys = std::min(round_up(z.lk, s.columns), round_up(256, s.columns));
  z.depth = round_up(z.d, 2);
  z.columns = round_up(z.d, s.columns);
  z.q_blocks = div_up(z.lq, z.queries);
  z.k_blocks = div_up(z.lk, z.keys);
  z.group = std::clamp<int64_t>(div_up(16 * threads, std::max<int64_t>(z.q_blocks, 1)), 1, z.heads);
  return z;
}

void copy_row(const Simd&, const float* x, float* y, int64_t n) { std::copy_n(x, n, y); }
void copy_row(const Simd& s, const bf16* x, float* y, int64_t n) { s.widen(x, y, n); }
void copy_row(const Simd& s, const float* x, bf16* y, int64_t n) { s.narrow(x, y, n); }
void copy_row(const Simd&, const bf16* x, bf16* y, int64_t n) { std::copy_n(x, n, y); }

Gemm<float> product(const Simd& s, float) { return s.gemm_f32; }
Gemm<bf16> product(const Simd& s, bf16) { return s.gemm_bf16; }

// What one thread works in.
template <class P>
struct Block {
  P* q;          // [queries, depth]
  float* score;  // [queries, keys]
  P* weight;     // the same as the products want it; score itself in f32
  float* out;    // [queries, columns]
  float* top;    // [queries] largest score so far
  float* total;  // [queries] sum of weights so far
};

// One block of keys: scores, weights, and their part of the output.
template <class P>
void add_keys(const Simd& s, const Sizes& z, const AttentionArgs& a, const Block<P>& b, int64_t head, int64_t first,
              int64_t rows, int64_t block, const P* packed_k, const P* packed_v) {
  const auto multiply = product(s, P{});
  const int64_t keys = std::min(z.keys, z.lk - block * z.keys), whole_rows = round_up(rows, s.rows);
  multiply(whole_rows, round_up(keys, s.columns), z.depth, b.q, z.depth, packed_k, b.score, z.keys, false);
  for (int64_t i = 0; i < rows; ++i) {
    float* score = b.score + i * z.keys;
    const float* bias = nullptr;
    if (a.rel_bias) bias = row<const float>(a.rel_bias, head) + z.lq - 1 - (first + i) + block * z.keys;
    const float shrink = s.softmax(score, keys, a.scale, bias, b.top + i, b.total + i);
    if (block > 0 && shrink != 1.f) s.multiply(b.out + i * z.columns, shrink, z.columns);
    if constexpr (sizeof(P) == 2) {
      s.narrow(score, b.weight + i * z.keys, keys);
      if (keys % 2) b.weight[i * z.keys + keys] = bf16{};
    }
  }
  const P* weight = b.weight;
  if constexpr (sizeof(P) == 4) weight = b.score;
  multiply(whole_rows, z.columns, sizeof(P) == 2 ? round_up(keys, 2) : keys, weight, z.keys, packed_v, b.out, z.columns,
           block > 0);
}

// T is the dtype of the tensors, P that of the products.
template <class T, class P>
void run(Context& ctx, const AttentionArgs& a) {
  const Simd& s = simd();
  const Sizes z = sizes(a, s, ctx.threads);
  const auto scope = ctx.arena->scope();
  const DType p_type = sizeof(P) == 2 ? DType::bf16 : DType::f32;
  const Tensor packed_k = ctx.make(p_type, {z.group, z.k_blocks, z.keys * z.depth});
  const Tensor packed_v = ctx.make(p_type, {z.group, z.k_blocks, z.keys * z.columns});
  const Tensor q = ctx.make(p_type, {ctx.threads, z.queries, z.depth});
  const Tensor score = ctx.make(DType::f32, {ctx.threads, z.queries, z.keys});
  const Tensor weight = ctx.make(DType::bf16, {ctx.threads, z.queries, sizeof(P) == 2 ? z.keys : 0});
  const Tensor out = ctx.make(DType::f32, {ctx.threads, z.queries, z.columns + 2});
  if (is_dry(ctx)) return;
  // Rows of a last, incomplete block take part in the products: they must hold numbers.
  std::memset(q.data, 0, static_cast<size_t>(q.nbytes()));
  std::memset(weight.data, 0, static_cast<size_t>(weight.nbytes()));

  for (int64_t head0 = 0; head0 < z.heads; head0 += z.group) {
    const int64_t group = std::min(z.group, z.heads - head0);
    parallel_for(ctx, group * z.k_blocks, 2 * z.keys * z.d, [&](int64_t i) {
      const int64_t head = head0 + i / z.k_blocks, first = i % z.k_blocks * z.keys, n = std::min(z.keys, z.lk - first);
      pack_rows(s, row<const T>(a.k, first) + head * z.d, a.k.stride(0), n, z.d,
                packed_k.ptr<P>() + i * z.keys * z.depth);
      pack_columns(s, row<const T>(a.v, first) + head * z.d, a.v.stride(0), n, z.d,
                   packed_v.ptr<P>() + i * z.keys * z.columns);
    });
    parallel_tasks(ctx, group * z.q_blocks, z.queries * z.lk * z.d / 8, [&](int64_t task, int thread) {
      const int64_t in_group = task / z.q_blocks, head = head0 + in_group;
      const int64_t first = task % z.q_blocks * z.queries, rows = std::min(z.queries, z.lq - first);
      float* sums = row<float>(out, thread);
      const Block<P> b{row<P>(q, thread),
                       row<float>(score, thread),
                       reinterpret_cast<P*>(row<bf16>(weight, thread)),
                       sums,
                       sums + z.queries * z.columns,
                       sums + z.queries * (z.columns + 1)};
      for (int64_t i = 0; i < rows; ++i) copy_row(s, row<const T>(a.q, first + i) + head * z.d, b.q + i * z.depth, z.d);
      std::fill_n(b.top, z.queries, std::numeric_limits<float>::lowest());
      std::fill_n(b.total, z.queries, 0.f);
      for (int64_t block = 0; block < z.k_blocks; ++block) {
        const int64_t at = in_group * z.k_blocks + block;
        add_keys(s, z, a, b, head, first, rows, block, packed_k.ptr<const P>() + at * z.keys * z.depth,
                 packed_v.ptr<const P>() + at * z.keys * z.columns);
      }
      for (int64_t i = 0; i < rows; ++i) {
        s.multiply(sums + i * z.columns, 1.f / b.total[i], z.d);
        copy_row(s, sums + i * z.columns, row<T>(a.y, first + i) + head * z.d, z.d);
      }
    });
  }
}

}  // namespace

void attention(Context& ctx, const AttentionArgs& a) {
  if (a.q.dtype == DType::f32)
    run<float, float>(ctx, a);
  else if (simd().gemm_bf16)
    run<bf16, bf16>(ctx, a);
  else
    run<bf16, float>(ctx, a);
}

}  // namespace wan::ops::cpu
