#pragma once
#include <cstdint>

#include "core/memory.h"

namespace wan {

/// Another resource's memory, up to a limit.
class BoundedMemory final : public MemoryResource {
 public:
  /// `memory` must outlive this.
  explicit BoundedMemory(MemoryResource& memory) noexcept : memory_(&memory) {}
  /// For what is allocated from now on.
  void set_limit(int64_t bytes) noexcept { limit_ = bytes; }
  int64_t in_use() const noexcept { return in_use_; }

  /// Throws Error(out_of_memory), having allocated nothing, where that would take more than the limit.
  void* allocate(int64_t bytes) override;
  void deallocate(void* memory, int64_t bytes) noexcept override;
  Device device() const noexcept override { return memory_->device(); }
  void upload(void* to, const void* host, int64_t bytes) override { memory_->upload(to, host, bytes); }
  void download(void* host, const void* from, int64_t bytes) override { memory_->download(host, from, bytes); }
  void fill_zero(void* memory, int64_t bytes) override { memory_->fill_zero(memory, bytes); }

 private:
  MemoryResource* memory_;
  int64_t limit_ = INT64_MAX, in_use_ = 0;
};

}  // namespace wan
