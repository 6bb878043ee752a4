#include "engine/dit_store.h"

#include <vector>

namespace wan::engine {

void DitStore::set_room(const DitRoom& room) {
  if (!copies_ || room == room_) return;
  reader_ = {};
  experts_.clear();
  pool_.reset();
  at_work_ = nullptr;
  room_ = room;
}

LoadedDit& DitStore::load(pipeline::Expert expert) {
  auto& slot = experts_[expert];
  if (slot) return *slot;
  if (copies_ && !pool_)
    pool_ = std::make_unique<weights::BlockPool>(*policy_.memory, *copies_, models_->block_place_bytes(policy_.compute),
                                                 room_.places);
  slot = pool_ ? models_->load_dit(expert, policy_, *pool_, {room_.resident, room_.in_host})
               : models_->load_dit(expert, policy_);
  return *slot;
}

const models::Dit& DitStore::at_work(pipeline::Expert expert) {
  at_work_ = &load(expert);
  return at_work_->dit();
}

void DitStore::read_ahead(std::span<const pipeline::Expert> order) {
  if (!copies_ || room_.in_host == 0) return;
  std::vector<weights::HostBlocks*> hosts;
  for (const pipeline::Expert expert : order) hosts.push_back(&load(expert).streamed()->host());
  reader_ = std::jthread([hosts = std::move(hosts)](const std::stop_token& stop) {
    for (weights::HostBlocks* host : hosts) host->read_all(stop);
  });
}

void DitStore::announce(pipeline::Expert next) {
  if (pool_ && at_work_) at_work_->streamed()->announce(*load(next).streamed());
}

void DitStore::leave_device() {
  if (pool_) pool_->release();
}

}  // namespace wan::engine
