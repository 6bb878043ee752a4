#pragma once
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "core/memory.h"
#include "weights/block_source.h"
#include "weights/upload.h"
#include "weights/weight_spec.h"

/// Weights and data of no meaning, made on the device at about the speed of its bus.
namespace wan::bench {

/// Normal numbers for tensors of a device: one pattern of a few million, sent again and again from changing places.
class NormalFill {
 public:
  explicit NormalFill(weights::Upload& upload);
  /// Fills contiguous f32 or bf16 memory with mean + deviation * normal.
  void fill(const Tensor& to, float deviation, float mean = 0);

 private:
  std::span<const std::byte> pattern(DType dtype, float deviation, float mean);

  weights::Upload* upload_;
  std::vector<float> normal_;
  std::map<std::pair<DType, std::pair<float, float>>, std::vector<std::byte>> patterns_;
  size_t next_ = 0;  // element of the pattern
};

/// Tensors for specs, in the dtype and layout that loading from a checkpoint gives, in memory of their own. Matrices
/// and convolutions keep a signal's size (deviation 1 / sqrt(fan-in)), norms are near 1, biases near 0.
class SyntheticSet {
 public:
  SyntheticSet(std::span<const weights::WeightSpec> specs, DType compute, MemoryResource& memory, NormalFill& fill);
  std::span<const Tensor> tensors() const noexcept { return tensors_; }

 private:
  std::vector<Tensor> tensors_;
  Buffer memory_;
};

/// All blocks of a model, resident, each with memory of its own.
class SyntheticBlocks final : public weights::BlockSource {
 public:
  SyntheticBlocks(const std::vector<std::vector<weights::WeightSpec>>& specs, DType compute, MemoryResource& memory,
                  NormalFill& fill);
  int64_t blocks() const noexcept override { return static_cast<int64_t>(sets_.size()); }
  weights::Lease acquire(Context&, int64_t i) override {
    return weights::Lease(sets_[static_cast<size_t>(i)].tensors());
  }

 private:
  std::vector<SyntheticSet> sets_;
};

}  // namespace wan::bench
