#include "io/convert.h"

#include <bit>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/error.h"

namespace wan::io {
namespace {

// Free of branches, so that the loops below vectorise.
inline float half_bits_to_float(uint16_t bits) noexcept {
  constexpr uint32_t exponent_mask = 0x7c00u << 13;
  constexpr uint32_t rebias = (127u - 15u) << 23;
  constexpr uint32_t smallest_normal = 113u << 23;  // 2^-14
  const uint32_t magnitude = (bits & 0x7fffu) << 13;
  const uint32_t exponent = magnitude & exponent_mask;
  const uint32_t normal = magnitude + rebias;
  const uint32_t infinite_or_nan = normal + rebias;
  // A subnormal half is 2^-14 * 0.m = 2^-14 * 1.m - 2^-14, exact and without float subnormals.
  const uint32_t subnormal = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude + smallest_normal) -
                                                     std::bit_cast<float>(smallest_normal));
  // Selection by masks: the compiler would skip the subtraction, which may trap, by a branch.
  const uint32_t is_large = exponent == exponent_mask ? ~0u : 0u;
  const uint32_t is_small = 0u - ((exponent - 1u) >> 31);
  const uint32_t result = (infinite_or_nan & is_large) | (subnormal & is_small) | (normal & ~(is_large | is_small));
  return std::bit_cast<float>(result | (static_cast<uint32_t>(bits & 0x8000u) << 16));
}

inline bf16 round_to_bf16(float value) noexcept {
  const auto u = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const uint32_t quiet_nan = (u >> 16) | 0x40u;
  bf16 result;
  result.bits = static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
  return result;
}

// Rounds to odd: a following rounding to fewer bits then gives what rounding once would have given.
inline float double_to_float_odd(double value) noexcept {
  const auto nearest = static_cast<float>(value);
  const auto back = static_cast<double>(nearest);
  auto u = std::bit_cast<uint32_t>(nearest);
  const bool inexact = !(back == value);
  const bool away_from_zero = std::fabs(back) > std::fabs(value);
  u -= away_from_zero ? 1u : 0u;
  u |= inexact ? 1u : 0u;
  return std::bit_cast<float>(u);
}

template <class Source, class Target, class Convert>
[[gnu::always_inline]] inline void convert_loop(std::span<const std::byte> in, std::span<Target> out, Convert convert) {
  const std::byte* source = in.data();
  Target* target = out.data();
  const size_t n = out.size();
  for (size_t i = 0; i < n; ++i) {
    Source value;
    std::memcpy(&value, source + i * sizeof(Source), sizeof(Source));
    target[i] = convert(value);
  }
}

#if defined(__x86_64__)
// The same loop for wider registers: rounding to bf16 must keep up with the bus of a GPU (8 GB/s a core without).
template <class Source, class Target, class Convert>
[[gnu::target("avx512bw")]] void convert_loop_avx512(std::span<const std::byte> in, std::span<Target> out,
                                                     Convert convert) {
  convert_loop<Source>(in, out, convert);
}
template <class Source, class Target, class Convert>
[[gnu::target("avx2")]] void convert_loop_avx2(std::span<const std::byte> in, std::span<Target> out, Convert convert) {
  convert_loop<Source>(in, out, convert);
}
#endif

template <class Source, class Target, class Convert>
void convert_each(std::span<const std::byte> in, std::span<Target> out, Convert convert) {
  assert(in.size() == out.size() * sizeof(Source));
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw")) return convert_loop_avx512<Source>(in, out, convert);
  if (__builtin_cpu_supports("avx2")) return convert_loop_avx2<Source>(in, out, convert);
#endif
  convert_loop<Source>(in, out, convert);
}

template <class T>
void copy_each(std::span<const std::byte> in, std::span<T> out) {
  assert(in.size() == out.size_bytes());
  if (!in.empty()) std::memcpy(out.data(), in.data(), in.size());
}

[[noreturn]] void fail_conversion(DType from, DType to) {
  fail(ErrorCode::unsupported, "[convert] {} cannot be converted to {}: f32, bf16, f16 or f64 was expected",
       to_string(from), to_string(to));
}

}  // namespace

void convert_to_f32(DType from, std::span<const std::byte> in, std::span<float> out) {
  switch (from) {
    case DType::f32: return copy_each(in, out);
    case DType::bf16:
      return convert_each<uint16_t>(
          in, out, [](uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); });
    case DType::f16: return convert_each<uint16_t>(in, out, half_bits_to_float);
    case DType::f64: return convert_each<double>(in, out, [](double v) { return static_cast<float>(v); });
    default: fail_conversion(from, DType::f32);
  }
}

void convert_to_bf16(DType from, std::span<const std::byte> in, std::span<bf16> out) {
  switch (from) {
    case DType::f32: return convert_each<float>(in, out, round_to_bf16);
    case DType::bf16: return copy_each(in, out);
    case DType::f16:
      return convert_each<uint16_t>(in, out, [](uint16_t bits) { return round_to_bf16(half_bits_to_float(bits)); });
    case DType::f64:
      return convert_each<double>(in, out, [](double v) { return round_to_bf16(double_to_float_odd(v)); });
    default: fail_conversion(from, DType::bf16);
  }
}

float half_to_float(uint16_t bits) noexcept { return half_bits_to_float(bits); }

}  // namespace wan::io
