#include "weights/streamed_blocks.h"

#include <algorithm>
#include <cassert>
#include <memory>
#include <utility>

#include "core/error.h"

namespace wan::weights {
namespace {

/// `chosen` of the candidates, spread evenly, so that blocks that travel have time between them.
std::vector<bool> spread(const std::vector<bool>& candidates, int64_t chosen) {
  const int64_t n = std::ranges::count(candidates, true);
  std::vector<bool> out(candidates.size());
  int64_t seen = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (!candidates[i]) continue;
    out[i] = (seen + 1) * chosen / n > seen * chosen / n;
    ++seen;
  }
  return out;
}

}  // namespace

BlockPool::BlockPool(MemoryResource& memory, CopyQueue& queue, int64_t bytes, int64_t places)
    : memory_(&memory), queue_(&queue), bytes_(bytes) {
  places_.resize(static_cast<size_t>(std::max<int64_t>(places, 1)));
  for (size_t i = 0; i < places_.size(); ++i) spare_.push_back(i);
}

BlockPool::~BlockPool() {
  try {
    queue_->finish();
  } catch (const Error&) {
    // The device has failed; whoever computes on it is told so.
  }
}

void BlockPool::release() {
  queue_->finish();
  for (size_t i = 0; i < places_.size(); ++i) {
    assert(places_[i].leases == 0);
    places_[i].owner = nullptr;
    places_[i].memory = Buffer();
    make_spare(i);
  }
}

std::optional<size_t> BlockPool::find(const StreamedBlocks* owner, int64_t block) const noexcept {
  for (size_t i = 0; i < places_.size(); ++i)
    if (places_[i].owner == owner && places_[i].block == block) return i;
  return std::nullopt;
}

std::optional<size_t> BlockPool::take_spare() noexcept {
  if (spare_.empty()) return std::nullopt;
  const size_t place = spare_.front();
  keep(place);
  return place;
}

void BlockPool::keep(size_t place) noexcept {
  if (!std::exchange(places_[place].spare, false)) return;
  std::erase(spare_, place);
}

void BlockPool::make_spare(size_t place) {
  if (std::exchange(places_[place].spare, true)) return;
  spare_.push_back(place);
}

void BlockPool::spare_all_but(const StreamedBlocks* owner) {
  for (size_t i = 0; i < places_.size(); ++i)
    if (places_[i].owner != owner && places_[i].leases == 0) make_spare(i);
}

void BlockPool::forget(const StreamedBlocks* owner) noexcept {
  for (size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].owner != owner) continue;
    places_[i].owner = nullptr;
    make_spare(i);
  }
  if (at_work_ == owner) at_work_ = nullptr;
}

StreamedBlocks::StreamedBlocks(const io::TensorIndex& index, std::vector<std::vector<WeightSpec>> specs,
                               const Policy& policy, BlockPool& pool, const Counts& counts, const Shard& shard)
    : index_(&index), specs_(std::move(specs)), policy_(policy), pool_(&pool) {
  for (const auto& block : specs_) layouts_.push_back(PackedLayout(index, block, policy.compute).part(shard));
  const int64_t bytes = pool.bytes_, resident = std::clamp<int64_t>(counts.resident, 0, blocks());
  require(std::ranges::all_of(layouts_, [&](const PackedLayout& l) { return l.bytes() <= bytes; }),
          ErrorCode::invalid_argument, "[weights] a block of {} is larger than the {} bytes of a place", index.label(),
          bytes);
  require(resident < pool.places() || resident == blocks(), ErrorCode::invalid_argument,
          "[weights] {} of {} blocks are to stay in {} places; expected a place for the others", resident, blocks(),
          pool.places());
  stays_ = spread(std::vector<bool>(specs_.size(), true), resident);
  std::vector<bool> others = stays_;
  others.flip();
  host_ = std::make_unique<HostBlocks>(index, specs_, layouts_, policy_, *pool.queue_,
                                       spread(others, std::clamp<int64_t>(counts.in_host, 0, blocks() - resident)));
}

StreamedBlocks::~StreamedBlocks() {
  try {
    pool_->queue_->finish();  // copies still read host_
  } catch (const Error&) {
    // As above.
  }
  pool_->forget(this);
}

int64_t StreamedBlocks::place_bytes(const io::TensorIndex& index, std::span<const std::vector<WeightSpec>> specs,
                                    DType compute, const Shard& shard) {
  int64_t most = 0;
  for (const auto& block : specs) most = std::max(most, PackedLayout(index, block, compute).part(shard).bytes());
  return most;
}

Lease StreamedBlocks::acquire(Context&, int64_t i) {
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  if (pool_->at_work_ != this) {
    pool_->spare_all_but(this);
    pool_->at_work_ = this;
  }
  std::optional<size_t> place = pool_->find(this, i);
  if (!place) place = load(i);
  if (!place) {  // blocks read ahead for a model that did not come
    pool_->spare_all_but(this);
    place = load(i);
  }
  require(place.has_value(), ErrorCode::out_of_memory, "[weights] all {} places for blocks are in use",
          pool_->places());
  pool_->keep(*place);
  BlockPool::Place& p = pool_->places_[*place];
  if (std::exchange(p.awaited, false)) pool_->queue_->compute_after_copies(static_cast<int64_t>(*place));
  ++p.leases;
  const std::shared_ptr<const void> hold(&p, [this, at = *place](const void*) { end_lease(at); });
  return {p.tensors, hold};
}

void StreamedBlocks::end_lease(size_t place) noexcept {
  try {
    BlockPool::Place& p = pool_->places_[place];
    const int64_t block = p.block;
    --p.leases;
    pool_->queue_->mark_computed(static_cast<int64_t>(place));
    if (p.leases == 0 && (next_ || !stays_[static_cast<size_t>(block)])) pool_->make_spare(place);
    read_ahead(block);
    if (block + 1 == blocks()) next_ = nullptr;
  } catch (...) {
    error_ = std::current_exception();
  }
}

/// Begins to bring what comes after a block, as far as there are places. Few at a time: where blocks are read from
/// files, the device would wait for all of them.
void StreamedBlocks::read_ahead(int64_t after) {
  constexpr int most = 2;
  int loaded = 0;
  for (int64_t i = after + 1; i < after + 1 + blocks() && loaded < most; ++i) {
    const bool here = i < blocks();
    StreamedBlocks& source = here || !next_ ? *this : *next_;
    const int64_t block = here ? i : i - blocks();
    if (block >= source.blocks()) return;
    if (pool_->find(&source, block)) continue;
    if (!source.load(block)) return;
    ++loaded;
  }
}

std::optional<size_t> StreamedBlocks::load(int64_t block) {
  const std::optional<size_t> place = pool_->take_spare();
  if (!place) return place;
  BlockPool::Place& p = pool_->places_[*place];
  p.owner = nullptr;  // until it is filled
  try {
    fill(p, static_cast<int64_t>(*place), block);
  } catch (...) {
    pool_->make_spare(*place);
    throw;
  }
  p.owner = this;
  p.block = block;
  p.awaited = true;
  ++pool_->loads_;
  return place;
}

void StreamedBlocks::fill(BlockPool::Place& place, int64_t slot, int64_t block) {
  const auto at = static_cast<size_t>(block);
  const std::vector<WeightSpec>& specs = specs_[at];
  CopyQueue& queue = *pool_->queue_;
  if (!place.memory.data()) place.memory = Buffer(*pool_->memory_, pool_->bytes_);
  place.tensors = layouts_[at].tensors_at(place.memory.data(), policy_.memory->device());
  queue.copies_after_compute(slot);
  if (host_->keeps(block)) {
    const Buffer& kept = host_->at(block);
    queue.copy(place.memory.data(), kept.data(), kept.size());
  } else {
    std::vector<WeightToUpload> uploads;
    for (const PackedLayout::Piece& piece : layouts_[at].pieces_at(place.memory.data(), policy_.memory->device()))
      uploads.push_back({&index_->at(specs[piece.spec].name), &specs[piece.spec], piece.to, piece.first});
    upload_weights(queue.upload(), uploads, policy_.round_to_bf16, policy_.threads);
  }
  queue.mark_copied(slot);
}

}  // namespace wan::weights
