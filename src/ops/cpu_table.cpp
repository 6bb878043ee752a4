#include "ops/cpu.h"

namespace wan::ops {

const KernelTable& cpu_kernels() noexcept {
#define WAN_ENTRY(op, Args) .op = cpu::op,
  static constexpr KernelTable table{.name = "cpu", WAN_FOR_EACH_OP(WAN_ENTRY)};
#undef WAN_ENTRY
  return table;
}

}  // namespace wan::ops
