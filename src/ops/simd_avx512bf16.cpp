// AVX-512 with products of bf16 pairs (Cooper Lake, Sapphire Rapids, Zen 4 and later).
#include <immintrin.h>
#define WAN_SIMD_LANES 16
#define WAN_SIMD_ROWS 12
#include "ops/simd_table.h"

namespace wan::ops::cpu {
namespace {

void gemm_bf16(int64_t m, int64_t n, int64_t k, const bf16* a, int64_t lda, const bf16* b, float* c, int64_t ldc,
               bool accumulate) {
  // Pairs travel as 32-bit units, so lda and k count half as many of them.
  tiles(
      m, n, k / 2, reinterpret_cast<const float*>(a), lda / 2, reinterpret_cast<const float*>(b), c, ldc, accumulate,
      [](Vec s, Vec x, Vec y) {
        return reinterpret_cast<Vec>(_mm512_dpbf16_ps(s, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(y)));
      });
}

}  // namespace

const Simd* simd_avx512bf16() noexcept {
  static constexpr Simd table = make_simd("avx512bf16", gemm_bf16);
  return &table;
}

}  // namespace wan::ops::cpu
