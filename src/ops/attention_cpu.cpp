#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/cpu.h"
#include "ops/cpu_util.h"

namespace wan::ops::cpu {

// Online softmax: one pass over the keys, a running maximum and sum per query.
void attention(Context& ctx, const AttentionArgs& a) {
  const int64_t lq = a.q.dim(0), lk = a.k.dim(0), heads = a.q.dim(1), d = a.q.dim(2);
  const auto scope = ctx.arena->scope();
  const Tensor sums = ctx.make(DType::f32, {std::max<int64_t>(lq * heads, 1), d});
  with_type(a.q.dtype, [&]<class T>() {
    parallel_for(ctx, lq * heads, [&](int64_t at) {
      const int64_t i = at / heads, h = at % heads;
      const T* q = row<const T>(a.q, i) + h * d;
      const float* bias = a.rel_bias ? a.rel_bias.ptr<const float>() + h * (lq + lk - 1) + lq - 1 - i : nullptr;
      float* acc = row<float>(sums, at);
      std::fill_n(acc, d, 0.f);
      float top = -std::numeric_limits<float>::infinity(), total = 0;
      for (int64_t j = 0; j < lk; ++j) {
        const T* k = row<const T>(a.k, j) + h * d;
        float score = 0;
        for (int64_t c = 0; c < d; ++c) score += load(q[c]) * load(k[c]);
        score = score * a.scale + (bias ? bias[j] : 0.f);
        if (score > top) {
          const float shrink = std::exp(top - score);
          for (int64_t c = 0; c < d; ++c) acc[c] *= shrink;
          total *= shrink;
          top = score;
        }
        const float p = std::exp(score - top);
        total += p;
        const T* v = row<const T>(a.v, j) + h * d;
        for (int64_t c = 0; c < d; ++c) acc[c] += p * load(v[c]);
      }
      T* y = row<T>(a.y, i) + h * d;
      for (int64_t c = 0; c < d; ++c) store(y[c], acc[c] / total);
    });
  });
}

}  // namespace wan::ops::cpu
