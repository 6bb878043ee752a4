#include "engine/dit_store.h"

#include <vector>

namespace wan::engine {

void DitStore::set_room(const DitRoom& room) {
  if (!copies_ || room == room_) return;
  reader_ = {};
  experts_.clear();
  gathered_.reset();
  pool_.reset();
  at_work_ = nullptr;
  room_ = room;
}

LoadedDit& DitStore::load(pipeline::Expert expert) {
  auto& slot = experts_[expert];
  if (slot) return *slot;
  if (!copies_) {
    slot = models_->load_dit(expert, policy_);
    return *slot;
  }
  if (!pool_) {
    const weights::Shard shard = sharding_ ? weights::Shard{0, sharding_.ranks->size()} : weights::Shard{};
    const int64_t bytes = models_->block_place_bytes(policy_.compute, shard);
    pool_ = std::make_unique<weights::BlockPool>(*policy_.memory, *copies_, bytes, room_.places);
    if (sharding_)
      gathered_ =
          std::make_unique<weights::GatherPool>(*policy_.memory, *sharding_.queue, *sharding_.ranks, shard.of * bytes);
  }
  slot = models_->load_dit(expert, policy_, *pool_, {room_.resident, room_.in_host}, gathered_.get());
  return *slot;
}

void DitStore::begin_run() noexcept {
  if (gathered_) gathered_->forget();
}

const models::Dit& DitStore::at_work(pipeline::Expert expert) {
  at_work_ = &load(expert);
  return at_work_->dit();
}

void DitStore::read_ahead(std::span<const pipeline::Expert> order) {
  if (!copies_ || room_.in_host == 0) return;
  std::vector<weights::HostBlocks*> hosts;
  for (const pipeline::Expert expert : order) hosts.push_back(load(expert).host());
  reader_ = std::jthread([hosts = std::move(hosts)](const std::stop_token& stop) {
    for (weights::HostBlocks* host : hosts) host->read_all(stop);
  });
}

void DitStore::announce(pipeline::Expert next) {
  if (pool_ && at_work_) at_work_->announce(load(next));
}

void DitStore::leave_device() {
  if (gathered_) gathered_->release();
  if (pool_) pool_->release();
}

}  // namespace wan::engine
