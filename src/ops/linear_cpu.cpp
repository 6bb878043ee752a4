#include "ops/activation.h"
#include "ops/cpu.h"
#include "ops/cpu_util.h"

namespace wan::ops::cpu {
namespace {

// Sixteen partial sums, so that the compiler can use vector registers without reordering a single sum.
template <class T>
float dot(const T* a, const T* b, int64_t n) {
  float part[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int64_t j = 0; j < 16; ++j) part[j] += load(a[i + j]) * load(b[i + j]);
  float sum = 0;
  for (; i < n; ++i) sum += load(a[i]) * load(b[i]);
  for (const float p : part) sum += p;
  return sum;
}

}  // namespace

void linear(Context& ctx, const LinearArgs& a) {
  const int64_t k = a.x.dim(1), n = a.w.dim(0);
  const float* bias = a.b ? a.b.ptr<const float>() : nullptr;
  with_type(a.x.dtype, [&]<class X>() {
    with_type(a.y.dtype, [&]<class Y>() {
      parallel_for(ctx, n, [&](int64_t j) {
        const X* w = a.w.ptr<const X>() + j * k;
        for (int64_t i = 0; i < a.x.dim(0); ++i)
          store(row<Y>(a.y, i)[j], activate(a.activation, dot(row<const X>(a.x, i), w, k) + (bias ? bias[j] : 0.f)));
      });
    });
  });
}

}  // namespace wan::ops::cpu
