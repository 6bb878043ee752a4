// What every processor of the architecture has.
#define WAN_SIMD_LANES 4
#define WAN_SIMD_ROWS 4
#include "ops/simd_table.h"

namespace wan::ops::cpu {

const Simd* simd_base() noexcept {
  static constexpr Simd table = make_simd("base", nullptr);
  return &table;
}

}  // namespace wan::ops::cpu
