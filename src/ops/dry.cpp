#include "ops/cpu.h"

namespace wan::ops {
namespace {

template <class Args>
void nothing(Context&, const Args&) {}

}  // namespace

// The ops that take scratch do that and no more on a dry device.
const KernelTable& dry_kernels() noexcept {
#define WAN_ENTRY(op, Args) .op = nothing,
  static constexpr KernelTable table = [] {
    KernelTable dry{.name = "dry", WAN_FOR_EACH_OP(WAN_ENTRY)};
    dry.linear = cpu::linear;
    dry.attention = cpu::attention;
    dry.conv = cpu::conv;
    return dry;
  }();
#undef WAN_ENTRY
  return table;
}

}  // namespace wan::ops
