#include "io/convert.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "support/expect_error.h"

namespace wan::io {
namespace {

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

// The definition: sign, exponent with bias 15, ten bits of fraction.
float half_by_definition(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31 && fraction != 0) return std::numeric_limits<float>::quiet_NaN();
  if (exponent == 31) return static_cast<float>(sign * std::numeric_limits<double>::infinity());
  if (exponent == 0) return static_cast<float>(sign * std::ldexp(fraction, -24));
  return static_cast<float>(sign * std::ldexp(1024 + fraction, exponent - 25));
}

TEST(Convert, AllHalves) {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> out(halves.size());
  convert_to_f32(DType::f16, bytes_of(halves), out);
  for (size_t i = 0; i < halves.size(); ++i) {
    const float expected = half_by_definition(halves[i]);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(out[i])) << i;
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(expected)) << i;
    }
  }
}

TEST(Convert, AllBfloat16s) {
  std::vector<uint16_t> bits(65536);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
  std::vector<float> out(bits.size());
  convert_to_f32(DType::bf16, bytes_of(bits), out);
  for (size_t i = 0; i < bits.size(); ++i) EXPECT_EQ(std::bit_cast<uint32_t>(out[i]), uint32_t{bits[i]} << 16);
  std::vector<bf16> back(bits.size());
  convert_to_bf16(DType::f32, bytes_of(out), back);
  for (size_t i = 0; i < bits.size(); ++i) {
    if (std::isnan(out[i])) continue;
    EXPECT_EQ(back[i].bits, bits[i]);
  }
}

// Nearest of the two neighbours of v, ties to even; by search instead of bit tricks.
uint16_t nearest_bfloat16(double v) {
  const auto truncated = static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(v)) >> 16);
  uint16_t best = truncated;
  double best_distance = std::numeric_limits<double>::infinity();
  for (int step = -1; step <= 1; ++step) {
    bf16 candidate;
    candidate.bits = static_cast<uint16_t>(truncated + step);
    const double distance = std::fabs(static_cast<double>(static_cast<float>(candidate)) - v);
    if (distance < best_distance || (distance == best_distance && candidate.bits % 2 == 0)) {
      best = candidate.bits;
      best_distance = distance;
    }
  }
  return best;
}

TEST(Convert, RoundsToNearestEven) {
  std::mt19937_64 random(1);
  std::vector<float> f32;
  std::vector<double> f64;
  for (int i = 0; i < 20000; ++i) {
    const double v =
        std::ldexp(static_cast<double>(random() % 2000003) - 1000001, static_cast<int>(random() % 60) - 50);
    f64.push_back(v);
    f32.push_back(static_cast<float>(v));
  }
  // Exactly half-way in bf16, and half-way after a first rounding to float only.
  for (const double v : {1.00390625, 1.01171875, -1.00390625}) {
    f64.push_back(v);
    f64.push_back(v + 1e-12);
    f64.push_back(v - 1e-12);
    f32.push_back(static_cast<float>(v));
  }
  std::vector<bf16> from32(f32.size());
  std::vector<bf16> from64(f64.size());
  convert_to_bf16(DType::f32, bytes_of(f32), from32);
  convert_to_bf16(DType::f64, bytes_of(f64), from64);
  for (size_t i = 0; i < f32.size(); ++i) {
    EXPECT_EQ(from32[i].bits, nearest_bfloat16(f32[i])) << f32[i];
    EXPECT_EQ(from32[i].bits, bf16(f32[i]).bits) << f32[i];
  }
  for (size_t i = 0; i < f64.size(); ++i) EXPECT_EQ(from64[i].bits, nearest_bfloat16(f64[i])) << f64[i];
}

TEST(Convert, SpecialValues) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> in = {infinity, -infinity, std::nan(""), 1e300, -1e300, 3.4e38, 0.0, -0.0};
  std::vector<float> f32(in.size());
  std::vector<bf16> b16(in.size());
  convert_to_f32(DType::f64, bytes_of(in), f32);
  convert_to_bf16(DType::f64, bytes_of(in), b16);
  for (const size_t i : {0, 1, 3, 4}) {
    EXPECT_EQ(f32[i], in[i] > 0 ? infinity : -infinity);
    EXPECT_EQ(static_cast<float>(b16[i]), in[i] > 0 ? infinity : -infinity);
  }
  EXPECT_TRUE(std::isnan(f32[2]));
  EXPECT_TRUE(std::isnan(static_cast<float>(b16[2])));
  EXPECT_EQ(b16[6].bits, 0x0000);
  EXPECT_EQ(b16[7].bits, 0x8000);

  // A NaN whose payload lies in the dropped bits must not become infinite.
  const std::vector<float> nan = {std::bit_cast<float>(0x7f800001u)};
  convert_to_bf16(DType::f32, bytes_of(nan), std::span(b16).first(1));
  EXPECT_TRUE(std::isnan(static_cast<float>(b16[0])));
}

TEST(Convert, AnyAlignment) {
  std::vector<std::byte> raw(1 + 3 * sizeof(float));
  const float values[] = {1.5f, -2.0f, 3.25f};
  std::memcpy(raw.data() + 1, values, sizeof values);
  std::vector<float> out(3);
  convert_to_f32(DType::f32, std::span(raw).subspan(1), out);
  EXPECT_EQ(out, std::vector<float>(std::begin(values), std::end(values)));
  std::vector<bf16> half(3);
  convert_to_bf16(DType::f32, std::span(raw).subspan(1), half);
  EXPECT_EQ(static_cast<float>(half[2]), 3.25f);
}

TEST(Convert, RefusesIntegers) {
  std::vector<float> out(1);
  const std::vector<int32_t> in = {1};
  test::expect_error(
      ErrorCode::unsupported, [&] { convert_to_f32(DType::i32, bytes_of(in), out); }, "i32", "f32");
}

}  // namespace
}  // namespace wan::io
