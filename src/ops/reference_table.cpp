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
  static constexpr KernelTable table{
      .name = "reference",
      .linear = reference::linear,
      .norm_modulate = reference::norm_modulate,
      .layer_norm = reference::layer_norm,
      .rms_norm = reference::rms_norm,
      .channel_norm = reference::channel_norm,
      .rms_norm_rope = reference::rms_norm_rope,
      .attention = reference::attention,
      .gated_add = reference::gated_add,
      .gelu_mul = reference::gelu_mul,
      .silu = reference::silu,
      .convert = reference::convert,
      .combine = reference::combine,
      .embedding = reference::embedding,
      .patchify = reference::patchify,
      .unpatchify = reference::unpatchify,
      .conv = reference::conv,
      .avg_down = reference::avg_down,
      .dup_up = reference::dup_up,
      .interleave_time = reference::interleave_time,
      .to_channels_last = reference::to_channels_last,
      .to_planar = reference::to_planar,
      .all_finite = reference::all_finite,
  };
  return table;
}

}  // namespace wan::ops
