#pragma once
#include <map>
#include <memory>
#include <span>
#include <thread>

#include "engine/models_on_disk.h"
#include "weights/streamed_blocks.h"

namespace wan::engine {

/// Room for the transformers' blocks.
struct DitRoom {
  int64_t places = 0;    ///< blocks on the device at once, of all experts
  int64_t resident = 0;  ///< of an expert's blocks, those that stay while it is at work
  int64_t in_host =
      0;  ///< of an expert's other blocks, those that are kept in host memory; the rest come from the files
  bool operator==(const DitRoom&) const = default;
};

/// The ranks among which blocks are spread, each with one shard of every block. Without any: each rank has all.
struct Sharding {
  comm::Communicator* ranks = nullptr;    ///< for the queue alone
  weights::GatherQueue* queue = nullptr;  ///< of the device
  explicit operator bool() const noexcept { return ranks != nullptr; }
};

/// The transformers of an engine, as far as they are loaded. They stay from one generation to the next.
class DitStore {
 public:
  /// With `copies`, blocks live in places on the device of `policy`; without, each is used where it lies in its file,
  /// or in memory of its own. With `sharding`, places are for shards, and its queue brings them. All must outlive the
  /// store.
  DitStore(const ModelsOnDisk& models, const weights::Policy& policy, weights::CopyQueue* copies,
           const Sharding& sharding = {})
      : models_(&models),
        policy_(policy),
        copies_(sharding ? &sharding.queue->shards() : copies),
        sharding_(sharding) {}

  /// To be called before a run's first forward: every rank then begins with the same blocks.
  void begin_run() noexcept;
  /// Without a queue of copies of no effect. What was loaded in another room is dropped.
  void set_room(const DitRoom& room);
  /// The expert's transformer, for acquire() to bring its blocks.
  const models::Dit& at_work(pipeline::Expert expert);
  /// Loads these experts, which will be at work in this order; a thread brings those of their blocks to host memory
  /// that are kept there, while earlier ones compute.
  void read_ahead(std::span<const pipeline::Expert> order);
  /// See StreamedBlocks::announce.
  void announce(pipeline::Expert next);
  /// Gives the places' memory back to the device; what is in host memory stays.
  void leave_device();

 private:
  LoadedDit& load(pipeline::Expert expert);

  const ModelsOnDisk* models_;
  weights::Policy policy_;
  weights::CopyQueue* copies_;
  Sharding sharding_;
  DitRoom room_;
  std::unique_ptr<weights::BlockPool> pool_;  // outlives the experts
  std::unique_ptr<weights::GatherPool> gathered_;
  std::map<pipeline::Expert, std::unique_ptr<LoadedDit>> experts_;
  LoadedDit* at_work_ = nullptr;
  std::jthread reader_;  // ends before what it reads for
};

}  // namespace wan::engine
