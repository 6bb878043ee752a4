// AVX-512 (F, BW, DQ, VL): thirty-two registers of sixteen floats.
#define WAN_SIMD_LANES 16
#define WAN_SIMD_ROWS 12
#include "ops/simd_table.h"

namespace wan::ops::cpu {

const Simd* simd_avx512() noexcept {
  static constexpr Simd table = make_simd("avx512", nullptr);
  return &table;
}

}  // namespace wan::ops::cpu
