#pragma once
#include <memory>
#include <span>

#include "core/context.h"
#include "weights/weight_spec.h"

namespace wan::weights {

/// The weights of one block, usable until the lease ends. Tensors are in the order of the block's specs.
class Lease {
 public:
  Lease(std::span<const Tensor> tensors, std::shared_ptr<const void> hold = {})
      : tensors_(tensors), hold_(std::move(hold)) {}
  std::span<const Tensor> tensors() const noexcept { return tensors_; }

 private:
  std::span<const Tensor> tensors_;
  std::shared_ptr<const void> hold_;  // keeps the memory alive, and tells the source when the lease ends
};

/// Where a model's blocks come from: resident, converted as they are used, later streamed or sharded.
/// The model only loops over acquire(ctx, 0 .. blocks-1); a later acquire may reuse memory of ended leases.
class BlockSource {
 public:
  virtual ~BlockSource() = default;
  virtual int64_t blocks() const noexcept = 0;
  /// Waits until block i can be used on ctx's stream. Throws Error(bad_file) if its file changed meanwhile.
  virtual Lease acquire(Context& ctx, int64_t i) = 0;
};

}  // namespace wan::weights
