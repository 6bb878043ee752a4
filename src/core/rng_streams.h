#pragma once
#include <optional>
#include <random>

#include "core/rng.h"

namespace wan {

/// torch.randn on a CUDA generator: Philox 4x32-10 (Salmon et al., 2011) keyed by the seed, one subsequence per thread
/// of a grid-stride launch, four normals a draw (curand_normal4's Box-Muller form).
class TorchCudaStream final : public RandomStream {
 public:
  TorchCudaStream(uint64_t seed, const CudaLaunchShape& shape);
  void fill(std::span<float> out) override;

 private:
  uint64_t seed_;
  int64_t max_threads_;   // of one launch
  uint64_t counter_ = 0;  // Philox blocks that every thread's subsequence has used up (torch's offset / 4)
};

/// torch.randn on a CPU generator: mt19937 with the seed's low 32 bits. From 16 elements on, one uniform float an
/// element and Box-Muller on blocks of 8 + 8; below that, one double pair for two elements, the second one kept.
class TorchCpuStream final : public RandomStream {
 public:
  explicit TorchCpuStream(uint64_t seed);
  void fill(std::span<float> out) override;

 private:
  float uniform_float();
  double uniform_double();
  double normal_double();

  std::mt19937 engine_;
  std::optional<double> next_normal_;  // survives calls of the other path, as torch's generator keeps it
};

}  // namespace wan
