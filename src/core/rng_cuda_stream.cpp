#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/checked.h"
#include "core/error.h"
#include "core/rng_streams.h"

namespace wan {
namespace {

constexpr int64_t kBlock = 256;  // threads a block in torch's distribution kernels
constexpr int64_t kUnroll = 4;   // normals a draw

using Counter = std::array<uint32_t, 4>;

Counter philox4x32_10(Counter c, uint64_t seed) {
  constexpr uint64_t kMul0 = 0xD2511F53, kMul1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  auto k0 = static_cast<uint32_t>(seed);
  auto k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = kMul0 * c[0];
    const uint64_t p1 = kMul1 * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return c;
}

// One pair of curand's Box-Muller: sine first. The angle is rounded where the device rounds it (its sine unit works on
// turns), which halves the distance to the device's values; sine and logarithm themselves are exact here.
void box_muller(uint32_t a, uint32_t b, float& first, float& second) {
  constexpr float kInv = 2.3283064e-10f;                                  // 2^-32
  constexpr float kInv2Pi = kInv * 2.0f * std::numbers::pi_v<float>;      // 2 pi / 2^32
  constexpr float kTurn = 1.0f / (2.0f * std::numbers::pi_v<float>);      // radians to turns
  const float u = std::fma(static_cast<float>(a), kInv, kInv / 2);        // (0, 1]
  const float v = std::fma(static_cast<float>(b), kInv2Pi, kInv2Pi / 2);  // (0, 2 pi]
  const float turns = v * kTurn;
  const float radius = std::sqrt(-2.0f * static_cast<float>(std::log(static_cast<double>(u))));
  const double angle = 2 * std::numbers::pi * static_cast<double>(turns);
  first = static_cast<float>(std::sin(angle)) * radius;
  second = static_cast<float>(std::cos(angle)) * radius;
}

}  // namespace

TorchCudaStream::TorchCudaStream(uint64_t seed, const CudaLaunchShape& shape)
    : seed_(seed), max_threads_(shape.sm_count * (shape.max_threads_per_sm / kBlock) * kBlock) {
  require(shape.sm_count >= 1 && shape.sm_count <= 4096 && shape.max_threads_per_sm >= kBlock &&
              shape.max_threads_per_sm <= 65536,
          ErrorCode::invalid_argument,
          "[random numbers] launch shape of {} multiprocessors with {} threads each; expected 1..4096 with 256..65536",
          shape.sm_count, shape.max_threads_per_sm);
}

void TorchCudaStream::fill(std::span<float> out) {
  const auto n = static_cast<int64_t>(out.size());
  if (n == 0) return;
  require(n <= (int64_t{1} << 29), ErrorCode::unsupported,
          "[random numbers] {} values in one call; expected at most 2^29 (torch splits larger tensors, which is not "
          "reproduced); make the video smaller",
          n);
  const int64_t threads = std::min(max_threads_, round_up(n, kBlock));
  const int64_t per_round = threads * kUnroll;
  for (int64_t start = 0; start < n; start += per_round, ++counter_) {
    const int64_t active = std::min(threads, n - start);
    for (int64_t thread = 0; thread < active; ++thread) {
      const Counter r = philox4x32_10({static_cast<uint32_t>(counter_), static_cast<uint32_t>(counter_ >> 32),
                                       static_cast<uint32_t>(thread), static_cast<uint32_t>(thread >> 32)},
                                      seed_);
      std::array<float, kUnroll> normal{};
      box_muller(r[0], r[1], normal[0], normal[1]);
      box_muller(r[2], r[3], normal[2], normal[3]);
      for (int64_t k = 0; k < kUnroll; ++k) {
        const int64_t i = start + thread + k * threads;
        if (i < n) out[static_cast<size_t>(i)] = normal[static_cast<size_t>(k)];
      }
    }
  }
}

}  // namespace wan
