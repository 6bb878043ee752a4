#pragma once
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "io/tensor_index.h"
#include "weights/block_source.h"
#include "weights/copy_queue.h"
#include "weights/file_source.h"
#include "weights/host_blocks.h"

/// Blocks that need not all fit into the device's memory: some stay there, the others come from the host while earlier
/// ones compute.
namespace wan::weights {

class StreamedBlocks;

/// Places on the device for blocks of one size. Several models may share it, of which one is at work.
class BlockPool {
 public:
  /// `places` (at least 1) of `bytes` each, in `memory`, taken when a block first comes; `queue` and `memory` must
  /// outlive it.
  BlockPool(MemoryResource& memory, CopyQueue& queue, int64_t bytes, int64_t places);
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  /// Gives all memory back; blocks come anew when they are next used. No lease may be open.
  void release();
  int64_t places() const noexcept { return static_cast<int64_t>(places_.size()); }
  /// How many blocks came to the device so far.
  int64_t loads() const noexcept { return loads_; }

 private:
  friend class StreamedBlocks;
  struct Place {
    Buffer memory;
    const StreamedBlocks* owner = nullptr;  // whose block is in it, or arriving; null: nobody's
    int64_t block = 0;
    std::vector<Tensor> tensors;
    int leases = 0;
    bool awaited = false;  // the computing queue must still be told to wait for it
    bool spare = true;     // may be filled with another block
  };

  std::optional<size_t> find(const StreamedBlocks* owner, int64_t block) const noexcept;
  /// The place that has been spare the longest; none if all are in use or kept.
  std::optional<size_t> take_spare() noexcept;
  void keep(size_t place) noexcept;
  void make_spare(size_t place);
  void spare_all_but(const StreamedBlocks* owner);
  void forget(const StreamedBlocks* owner) noexcept;

  MemoryResource* memory_;
  CopyQueue* queue_;
  int64_t bytes_;
  std::vector<Place> places_;
  std::deque<size_t> spare_;  // in the order in which they became it
  const StreamedBlocks* at_work_ = nullptr;
  int64_t loads_ = 0;
};

/// The blocks of one model, through a pool.
class StreamedBlocks final : public BlockSource {
 public:
  struct Counts {
    int64_t resident = 0;  ///< blocks that stay on the device once they are there. Two places more than that, or one
                           ///< for every block, let a block arrive while the one before it computes.
    int64_t in_host = 0;   ///< of the others: kept in the queue's host memory as the device wants them; those that are
                           ///< left are read from the files each time
  };
  /// policy.memory is the pool's. `index` and `pool` must outlive it. Of several shards, a block is one tensor: the
  /// bytes of this shard, which are all that is read. Throws Error(invalid_argument) if a block is larger than the
  /// pool's places or would find none.
  StreamedBlocks(const io::TensorIndex& index, std::vector<std::vector<WeightSpec>> specs, const Policy& policy,
                 BlockPool& pool, const Counts& counts, const Shard& shard = {});
  StreamedBlocks(const StreamedBlocks&) = delete;
  StreamedBlocks& operator=(const StreamedBlocks&) = delete;
  ~StreamedBlocks() override;

  int64_t blocks() const noexcept override { return static_cast<int64_t>(layouts_.size()); }
  /// The block, after whose arrival the work that is queued from now on begins. When the lease ends, its place may be
  /// filled with a later block behind the work that was queued until then. What goes wrong in reading ahead is thrown
  /// by the next acquire. Throws Error(bad_file, device or out_of_memory).
  Lease acquire(Context& ctx, int64_t i) override;
  /// The pass over the blocks that comes now is the last: what is done makes way for `next`, of the same pool, whose
  /// first blocks arrive meanwhile.
  void announce(StreamedBlocks& next) noexcept { next_ = &next; }
  /// The blocks that are kept in host memory; a thread may bring them there while this one computes.
  HostBlocks& host() noexcept { return *host_; }

  /// The size of place that these blocks need.
  static int64_t place_bytes(const io::TensorIndex& index, std::span<const std::vector<WeightSpec>> specs,
                             DType compute, const Shard& shard = {});

 private:
  void end_lease(size_t place) noexcept;
  void read_ahead(int64_t after);
  std::optional<size_t> load(int64_t block);
  void fill(BlockPool::Place& place, int64_t slot, int64_t block);

  const io::TensorIndex* index_;
  std::vector<std::vector<WeightSpec>> specs_;
  Policy policy_;
  BlockPool* pool_;
  std::vector<PackedLayout> layouts_;
  std::vector<bool> stays_;
  std::unique_ptr<HostBlocks> host_;
  StreamedBlocks* next_ = nullptr;
  std::exception_ptr error_;
};

}  // namespace wan::weights
