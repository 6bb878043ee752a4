#pragma once
#include <algorithm>

#include "core/memory.h"

namespace wan {

/// Another resource's memory, with a count of what is allocated through this one.
class CountingMemory final : public MemoryResource {
 public:
  explicit CountingMemory(MemoryResource& inner) noexcept : inner_(&inner) {}

  void* allocate(int64_t bytes) override {
    void* memory = inner_->allocate(bytes);
    in_use_ += bytes;
    peak_ = std::max(peak_, in_use_);
    return memory;
  }
  void deallocate(void* memory, int64_t bytes) noexcept override {
    inner_->deallocate(memory, bytes);
    in_use_ -= bytes;
  }
  Device device() const noexcept override { return inner_->device(); }
  void upload(void* to, const void* host, int64_t bytes) override { inner_->upload(to, host, bytes); }
  void download(void* host, const void* from, int64_t bytes) override { inner_->download(host, from, bytes); }
  void fill_zero(void* memory, int64_t bytes) override { inner_->fill_zero(memory, bytes); }

  int64_t in_use() const noexcept { return in_use_; }
  int64_t peak() const noexcept { return peak_; }
  /// The peak from now on.
  void reset_peak() noexcept { peak_ = in_use_; }

 private:
  MemoryResource* inner_;
  int64_t in_use_ = 0, peak_ = 0;
};

}  // namespace wan
