#include "weights/host_blocks.h"

#include <utility>

#include "core/error.h"
#include "weights/read_weight.h"

namespace wan::weights {

HostBlocks::HostBlocks(const io::TensorIndex& index, std::span<const std::vector<WeightSpec>> specs,
                       std::span<const PackedLayout> layouts, const Policy& policy, CopyQueue& queue,
                       std::vector<bool> kept)
    : index_(&index),
      specs_(specs),
      layouts_(layouts),
      policy_(policy),
      queue_(&queue),
      kept_(std::move(kept)),
      memory_(specs.size()),
      states_(specs.size(), State::absent) {}

const Buffer& HostBlocks::at(int64_t block) {
  const auto i = static_cast<size_t>(block);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return states_[i] != State::arriving; });
  if (states_[i] == State::here) return memory_[i];
  states_[i] = State::arriving;
  lock.unlock();
  const auto arrive = [&](State state) {
    lock.lock();
    states_[i] = state;
    changed_.notify_all();
  };
  try {
    memory_[i] = read(i);
  } catch (...) {
    arrive(State::absent);
    throw;
  }
  arrive(State::here);
  return memory_[i];
}

void HostBlocks::read_all(const std::stop_token& stop) noexcept {
  try {
    for (size_t i = 0; i < kept_.size() && !stop.stop_requested(); ++i)
      if (kept_[i]) (void)at(static_cast<int64_t>(i));
  } catch (...) {
    // Whoever needs the block meets the same error.
  }
}

Buffer HostBlocks::read(size_t block) const {
  const std::vector<WeightSpec>& specs = specs_[block];
  Buffer memory(queue_->host(), layouts_[block].bytes());
  for (const PackedLayout::Piece& piece : layouts_[block].pieces_at(memory.data(), {})) {
    const WeightSpec& spec = specs[piece.spec];
    read_weight_in_parallel(index_->at(spec.name), spec, policy_.round_to_bf16, piece.to.dtype, piece.first,
                            piece.to.numel(), piece.to.data, policy_.threads);
  }
  queue_->lock_pages(memory.data(), memory.size());
  return memory;
}

}  // namespace wan::weights
