// AVX2 and FMA: sixteen registers of eight floats.
#define WAN_SIMD_LANES 8
#define WAN_SIMD_ROWS 6
#include "ops/simd_table.h"

namespace wan::ops::cpu {

const Simd* simd_avx2() noexcept {
  static constexpr Simd table = make_simd("avx2", nullptr);
  return &table;
}

}  // namespace wan::ops::cpu
