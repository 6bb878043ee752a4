#include <cmath>
#include <numbers>

#include "core/rng_streams.h"

namespace wan {
namespace {

constexpr size_t kBlock = 16;

// 16 uniforms to 16 normals in place: radii from the first eight, angles from the last eight.
void box_muller_16(std::span<float, kBlock> u) {
  constexpr float kTwoPi = 2.0f * std::numbers::pi_v<float>;
  for (size_t j = 0; j < kBlock / 2; ++j) {
    const float radius = std::sqrt(-2.0f * static_cast<float>(std::log(static_cast<double>(1.0f - u[j]))));
    const double angle = static_cast<double>(kTwoPi * u[j + 8]);
    u[j] = radius * static_cast<float>(std::cos(angle));
    u[j + 8] = radius * static_cast<float>(std::sin(angle));
  }
}

}  // namespace

TorchCpuStream::TorchCpuStream(uint64_t seed) : engine_(static_cast<uint32_t>(seed)) {}

float TorchCpuStream::uniform_float() { return static_cast<float>(engine_() & 0xffffffu) * 0x1p-24f; }

double TorchCpuStream::uniform_double() {
  const uint64_t high = engine_();
  const uint64_t low = engine_();
  return static_cast<double>((high << 32 | low) & ((uint64_t{1} << 53) - 1)) * 0x1p-53;
}

double TorchCpuStream::normal_double() {
  if (next_normal_) {
    const double value = *next_normal_;
    next_normal_.reset();
    return value;
  }
  const double angle = 2 * std::numbers::pi * uniform_double();
  const double radius = std::sqrt(-2 * std::log1p(-uniform_double()));
  next_normal_ = radius * std::sin(angle);
  return radius * std::cos(angle);
}

void TorchCpuStream::fill(std::span<float> out) {
  if (out.size() < kBlock) {
    for (float& x : out) x = static_cast<float>(normal_double());
    return;
  }
  for (float& x : out) x = uniform_float();
  for (size_t i = 0; i + kBlock <= out.size(); i += kBlock) box_muller_16(out.subspan(i).first<kBlock>());
  if (out.size() % kBlock != 0) {
    // The last 16 values are drawn anew, over the tail of the last whole block.
    const auto tail = out.last<kBlock>();
    for (float& x : tail) x = uniform_float();
    box_muller_16(tail);
  }
}

}  // namespace wan
