#include "weights/sharded_blocks.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/error.h"

namespace wan::weights {
namespace {

std::vector<PackedLayout> layouts_of(const io::TensorIndex& index, const std::vector<std::vector<WeightSpec>>& specs,
                                     DType compute) {
  std::vector<PackedLayout> layouts;
  for (const auto& block : specs) layouts.emplace_back(index, block, compute);
  return layouts;
}

}  // namespace

GatherPool::~GatherPool() {
  try {
    queue_->finish();
  } catch (const Error&) {
    // The device has failed; whoever computes on it is told so.
  }
}

void GatherPool::forget() noexcept {
  for (Place& place : places_) {
    assert(place.leases == 0);
    place.owner = nullptr;
  }
}

void GatherPool::release() {
  queue_->finish();
  forget();
  for (Place& place : places_) place.memory = Buffer();
}

size_t GatherPool::find(const ShardedBlocks* owner, int64_t block) const noexcept {
  const auto at = std::ranges::find_if(places_, [&](const Place& p) { return p.owner == owner && p.block == block; });
  return static_cast<size_t>(at - places_.begin());
}

size_t GatherPool::free_place() const noexcept {
  return static_cast<size_t>(std::ranges::find(places_, 0, &Place::leases) - places_.begin());
}

ShardedBlocks::ShardedBlocks(const io::TensorIndex& index, std::vector<std::vector<WeightSpec>> specs,
                             const Policy& policy, BlockPool& pool, const StreamedBlocks::Counts& counts,
                             GatherPool& gathered)
    : layouts_(layouts_of(index, specs, policy.compute)),
      device_(policy.memory->device()),
      shards_(index, std::move(specs), policy, pool, counts, {gathered.ranks_->rank(), gathered.ranks_->size()}),
      pool_(&gathered) {}

ShardedBlocks::~ShardedBlocks() {
  try {
    pool_->queue_->finish();  // exchanges still read the shards
  } catch (const Error&) {
    // As above.
  }
  for (GatherPool::Place& place : pool_->places_)
    if (place.owner == this) place.owner = nullptr;
}

int64_t ShardedBlocks::place_bytes(const io::TensorIndex& index, std::span<const std::vector<WeightSpec>> specs,
                                   DType compute, int ranks) {
  return ranks * StreamedBlocks::place_bytes(index, specs, compute, {0, ranks});
}

Lease ShardedBlocks::acquire(Context& ctx, int64_t i) {
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  size_t place = pool_->find(this, i);
  if (place == pool_->places_.size()) place = gather(ctx, i);
  GatherPool::Place& p = pool_->places_[place];
  if (std::exchange(p.awaited, false)) pool_->queue_->compute_after_gather(static_cast<int64_t>(place));
  ++p.leases;
  std::shared_ptr<const void> hold(&p, [this, place](const void*) { end_lease(place); });

  const bool last = i + 1 == blocks();
  ShardedBlocks& source = last && next_ ? *std::exchange(next_, nullptr) : *this;
  const int64_t block = last ? 0 : i + 1;
  if (pool_->find(&source, block) == pool_->places_.size() && pool_->free_place() < pool_->places_.size())
    source.gather(ctx, block);
  return {p.tensors, std::move(hold)};
}

void ShardedBlocks::announce(ShardedBlocks& next) noexcept {
  next_ = &next;
  shards_.announce(next.shards_);
}

size_t ShardedBlocks::gather(Context& ctx, int64_t block) {
  const size_t place = pool_->free_place();
  require(place < pool_->places_.size(), ErrorCode::out_of_memory, "[weights] both places for whole blocks are in use");
  GatherPool::Place& p = pool_->places_[place];
  GatherQueue& queue = *pool_->queue_;
  const auto slot = static_cast<int64_t>(place);
  p.owner = nullptr;  // until it is filled
  if (!p.memory.data()) p.memory = Buffer(*pool_->memory_, pool_->bytes_);
  {
    const Lease shard = shards_.acquire(ctx, block);
    const Tensor mine = shard.tensors()[0];
    const size_t bytes = static_cast<size_t>(mine.nbytes());
    queue.gather_after_compute(slot);
    pool_->ranks_->all_gather(
        {static_cast<const std::byte*>(mine.data), bytes},
        {static_cast<std::byte*>(p.memory.data()), bytes * static_cast<size_t>(pool_->ranks_->size())}, queue.stream());
    queue.mark_gathered(slot);
  }
  p.tensors = layouts_[static_cast<size_t>(block)].tensors_at(p.memory.data(), device_);
  p.owner = this;
  p.block = block;
  p.awaited = true;
  ++pool_->gathers_;
  return place;
}

void ShardedBlocks::end_lease(size_t place) noexcept {
  try {
    --pool_->places_[place].leases;
    pool_->queue_->mark_computed(static_cast<int64_t>(place));
  } catch (...) {
    error_ = std::current_exception();
  }
}

}  // namespace wan::weights
