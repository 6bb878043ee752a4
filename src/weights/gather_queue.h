#pragma once
#include "weights/copy_queue.h"

namespace wan::weights {

/// A device's queue of exchanges among ranks, beside the queue that computes: the two wait for each other only where
/// told, by slots as in CopyQueue.
class GatherQueue {
 public:
  virtual ~GatherQueue() = default;
  /// For a Communicator's calls; absent where they are done on return.
  virtual void* stream() = 0;
  /// Brings shards to the device; what CopyQueue calls the computing queue is this one here.
  virtual CopyQueue& shards() = 0;

  /// The exchanges asked for so far are the slot's, and the computing queue will wait for them at
  /// compute_after_gather().
  virtual void mark_gathered(int64_t slot) = 0;
  virtual void compute_after_gather(int64_t slot) = 0;
  /// What was asked of the computing queue so far uses the slot, and exchanges after gather_after_compute() wait for
  /// it.
  virtual void mark_computed(int64_t slot) = 0;
  virtual void gather_after_compute(int64_t slot) = 0;

  /// Waits for all exchanges.
  virtual void finish() = 0;
};

/// For the host's own memory: everything is done at once.
class HostGatherQueue final : public GatherQueue {
 public:
  void* stream() override { return nullptr; }
  CopyQueue& shards() override { return shards_; }
  void mark_gathered(int64_t) override {}
  void compute_after_gather(int64_t) override {}
  void mark_computed(int64_t) override {}
  void gather_after_compute(int64_t) override {}
  void finish() override {}

 private:
  HostCopyQueue shards_;
};

/// For a GPU, whose `memory` is cuda::CudaMemory; computing means its stream. Throws Error(unsupported) in a build
/// without CUDA.
std::unique_ptr<GatherQueue> make_cuda_gather_queue(MemoryResource& memory);

}  // namespace wan::weights
