#include "weights/upload.h"

#include <algorithm>
#include <cassert>
#include <exception>
#include <mutex>

#include "core/error.h"
#include "weights/read_weight.h"

namespace wan::weights {
namespace {

/// Elements [first, first + count) of what is to be uploaded.
struct Piece {
  const WeightToUpload* weight;
  int64_t first, count;
};

std::vector<Piece> pieces_of(std::span<const WeightToUpload> weights, int64_t buffer_bytes) {
  std::vector<Piece> pieces;
  for (const WeightToUpload& w : weights) {
    const int64_t unit = weight_unit(*w.spec), unit_bytes = unit * size_of(w.to.dtype), total = w.to.numel();
    const int64_t fits = buffer_bytes / unit_bytes * unit;
    require(fits > 0, ErrorCode::unsupported,
            "[{}] one output channel of '{}' is {} bytes, more than the {} of a buffer", w.entry->file->name(),
            w.entry->name, unit_bytes, buffer_bytes);
    for (int64_t first = 0; first < total; first += fits) pieces.push_back({&w, first, std::min(fits, total - first)});
  }
  return pieces;
}

/// Pieces that threads take one at a time. The first error stops all threads.
class Work {
 public:
  Work(Upload& upload, std::span<const Piece> pieces, bool round_to_bf16)
      : upload_(upload), pieces_(pieces), round_to_bf16_(round_to_bf16) {}

  void run() noexcept {
    try {
      while (run_one()) {
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  bool run_one() {
    std::span<std::byte> staged;
    const Piece* piece = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (error_ || next_ == pieces_.size()) return false;
      staged = upload_.stage();
      piece = &pieces_[next_++];
    }
    const WeightToUpload& w = *piece->weight;
    const int64_t element = size_of(w.to.dtype);
    try {
      read_weight(*w.entry, *w.spec, round_to_bf16_, w.to.dtype, w.first + piece->first, piece->count, staged.data());
    } catch (...) {
      send(staged, nullptr, 0);  // the buffer goes back
      throw;
    }
    send(staged, static_cast<std::byte*>(w.to.data) + piece->first * element, piece->count * element);
    return true;
  }

  void send(std::span<const std::byte> staged, void* destination, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    upload_.send(staged, destination, bytes);
  }

  Upload& upload_;
  std::span<const Piece> pieces_;
  bool round_to_bf16_;
  std::mutex mutex_;
  size_t next_ = 0;
  std::exception_ptr error_;
};

}  // namespace

PlainUpload::PlainUpload(MemoryResource& memory, int64_t buffer_bytes, int64_t buffers) : memory_(&memory) {
  for (int64_t i = 0; i < buffers; ++i) {
    ring_.emplace_back(host_memory(), buffer_bytes);
    free_.push_back(static_cast<size_t>(i));
  }
}

std::span<std::byte> PlainUpload::stage() {
  assert(!free_.empty());
  const Buffer& buffer = ring_[free_.back()];
  free_.pop_back();
  return {static_cast<std::byte*>(buffer.data()), static_cast<size_t>(buffer.size())};
}

void PlainUpload::send(std::span<const std::byte> staged, void* destination, int64_t bytes) {
  const auto slot = std::ranges::find(ring_, staged.data(), &Buffer::data) - ring_.begin();
  free_.push_back(static_cast<size_t>(slot));
  if (bytes > 0) memory_->upload(destination, staged.data(), bytes);
}

void upload_weights(Upload& upload, std::span<const WeightToUpload> weights, bool round_to_bf16, int threads) {
  const std::vector<Piece> pieces = pieces_of(weights, upload.buffer_bytes());
  const int64_t most = std::min<int64_t>(upload.buffers() / 2, static_cast<int64_t>(pieces.size()));
  const int team = static_cast<int>(std::clamp<int64_t>(threads, 1, std::max<int64_t>(most, 1)));
  Work work(upload, pieces, round_to_bf16);
#pragma omp parallel num_threads(team)
  work.run();
  work.rethrow();
}

}  // namespace wan::weights
