#pragma once
#include <array>
#include <exception>
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "weights/gather_queue.h"
#include "weights/streamed_blocks.h"

/// Blocks of which each rank holds one of equal shards (FSDP, Zhao et al. 2023): a block is put together from all
/// ranks' shards while the one before it computes.
namespace wan::weights {

class ShardedBlocks;

/// Two places on the device for whole blocks. Several models may share it, of which one is at work.
class GatherPool {
 public:
  /// `bytes` as ShardedBlocks::place_bytes gives them, in `memory`, taken when a block first comes. All must outlive
  /// it.
  GatherPool(MemoryResource& memory, GatherQueue& queue, comm::Communicator& ranks, int64_t bytes)
      : memory_(&memory), queue_(&queue), ranks_(&ranks), bytes_(bytes) {}
  GatherPool(const GatherPool&) = delete;
  GatherPool& operator=(const GatherPool&) = delete;
  ~GatherPool();

  /// Forgets what is there, so that every rank begins with the same: for the begin of a run. No lease may be open.
  void forget() noexcept;
  /// And gives the memory back.
  void release();
  /// How many blocks were put together so far.
  int64_t gathers() const noexcept { return gathers_; }

 private:
  friend class ShardedBlocks;
  struct Place {
    Buffer memory;
    const ShardedBlocks* owner = nullptr;
    int64_t block = 0;
    std::vector<Tensor> tensors;
    int leases = 0;
    bool awaited = false;  // the computing queue must still be told to wait for it
  };
  size_t find(const ShardedBlocks* owner, int64_t block) const noexcept;
  size_t free_place() const noexcept;

  MemoryResource* memory_;
  GatherQueue* queue_;
  comm::Communicator* ranks_;
  int64_t bytes_;
  std::array<Place, 2> places_;
  int64_t gathers_ = 0;
};

/// The blocks of one model. Every rank acquires the same blocks in the same order.
class ShardedBlocks final : public BlockSource {
 public:
  /// This rank's shards come through `pool`, whose queue is gathered's shards(); see StreamedBlocks, of which `counts`
  /// are the shards'.
  ShardedBlocks(const io::TensorIndex& index, std::vector<std::vector<WeightSpec>> specs, const Policy& policy,
                BlockPool& pool, const StreamedBlocks::Counts& counts, GatherPool& gathered);
  ShardedBlocks(const ShardedBlocks&) = delete;
  ShardedBlocks& operator=(const ShardedBlocks&) = delete;
  ~ShardedBlocks() override;

  int64_t blocks() const noexcept override { return shards_.blocks(); }
  /// The block, after whose arrival the work that is queued from now on begins; and the next one begins to arrive.
  /// Throws Error(comm) too.
  Lease acquire(Context& ctx, int64_t i) override;
  /// The pass over the blocks that comes now is the last: `next`, of the same pools, comes after it.
  void announce(ShardedBlocks& next) noexcept;
  StreamedBlocks& shards() noexcept { return shards_; }

  /// The size of place that these blocks need.
  static int64_t place_bytes(const io::TensorIndex& index, std::span<const std::vector<WeightSpec>> specs,
                             DType compute, int ranks);

 private:
  size_t gather(Context& ctx, int64_t block);
  void end_lease(size_t place) noexcept;

  std::vector<PackedLayout> layouts_;  // of whole blocks
  Device device_;
  StreamedBlocks shards_;
  GatherPool* pool_;
  ShardedBlocks* next_ = nullptr;
  std::exception_ptr error_;
};

}  // namespace wan::weights
