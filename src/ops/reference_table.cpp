#include <bit>
#include <cmath>

#include "ops/reference.h"

namespace wan::ops {
namespace reference {
namespace {

double half(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  double v = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25);
  if (exponent == 31) v = fraction ? std::nan("") : INFINITY;
  return bits & 0x8000 ? -v : v;
}

// f64 to bf16 in one rounding: going through f32 could round twice, so f32 is made "sticky" (round to odd).
bf16 to_bf16(double value) {
  float nearest = static_cast<float>(value);
  if (std::isfinite(nearest) && static_cast<double>(nearest) != value) {
    auto bits = std::bit_cast<uint32_t>(nearest);
    if (std::abs(static_cast<double>(nearest)) > std::abs(value)) --bits;
    nearest = std::bit_cast<float>(bits | 1u);
  }
  return bf16(nearest);
}

}  // namespace

double value_at(const Tensor& t, int64_t at) noexcept {
  switch (t.dtype) {
    case DType::bf16: return static_cast<double>(static_cast<float>(t.ptr<const bf16>()[at]));
    case DType::f16: return half(t.ptr<const uint16_t>()[at]);
    default: return static_cast<double>(t.ptr<const float>()[at]);
  }
}

void set_at(const Tensor& t, int64_t at, double value) noexcept {
  if (t.dtype == DType::bf16)
    t.ptr<bf16>()[at] = to_bf16(value);
  else
    t.ptr<float>()[at] = static_cast<float>(value);
}

}  // namespace reference

const KernelTable& reference_kernels() noexcept {
#define WAN_ENTRY(op, Args) .op = reference::op,
  static constexpr KernelTable table{.name = "reference", WAN_FOR_EACH_OP(WAN_ENTRY)};
#undef WAN_ENTRY
  return table;
}

}  // namespace wan::ops
