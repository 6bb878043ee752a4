#pragma once
#include <condition_variable>
#include <mutex>
#include <span>
#include <stop_token>
#include <vector>

#include "io/tensor_index.h"
#include "weights/copy_queue.h"
#include "weights/file_source.h"

namespace wan::weights {

/// A model's blocks in a queue's host memory, as the device wants them, each read from the files once. Any thread may
/// call; two may wait for each other's block, never read the same one.
class HostBlocks {
 public:
  /// Of the blocks in `layouts` and `specs`, those that are `kept`. All must outlive this.
  HostBlocks(const io::TensorIndex& index, std::span<const std::vector<WeightSpec>> specs,
             std::span<const PackedLayout> layouts, const Policy& policy, CopyQueue& queue, std::vector<bool> kept);

  bool keeps(int64_t block) const noexcept { return kept_[static_cast<size_t>(block)]; }
  /// The memory of a block that is kept; it stays where it is. Throws Error(bad_file, out_of_memory or device); a later
  /// call tries again.
  const Buffer& at(int64_t block);
  /// Brings all that are kept, in their order, until it is asked to stop. What goes wrong is left to at().
  void read_all(const std::stop_token& stop) noexcept;

 private:
  enum class State { absent, arriving, here };
  Buffer read(size_t block) const;

  const io::TensorIndex* index_;
  std::span<const std::vector<WeightSpec>> specs_;
  std::span<const PackedLayout> layouts_;
  Policy policy_;
  CopyQueue* queue_;
  std::vector<bool> kept_;
  std::vector<Buffer> memory_;
  std::mutex mutex_;  // of what follows; memory_[i] is its reader's while it arrives, and constant afterwards
  std::condition_variable changed_;
  std::vector<State> states_;
};

}  // namespace wan::weights
