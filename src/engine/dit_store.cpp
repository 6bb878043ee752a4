#include "engine/dit_store.h"

namespace wan::engine {

void DitStore::set_room(const DitRoom& room) {
  if (!copies_ || room == room_) return;
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

void DitStore::announce(pipeline::Expert next) {
  if (pool_ && at_work_) at_work_->streamed()->announce(*load(next).streamed());
}

void DitStore::leave_device() {
  if (pool_) pool_->release();
}

}  // namespace wan::engine
