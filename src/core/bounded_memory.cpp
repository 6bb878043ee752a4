#include "core/bounded_memory.h"

#include "core/error.h"

namespace wan {

void* BoundedMemory::allocate(int64_t bytes) {
  require(
      bytes <= limit_ - in_use_, ErrorCode::out_of_memory,
      "[memory] {} bytes more were needed, {} are in use, and the budget leaves {} in all; the plan was too low: give "
      "a larger budget (--vram), and report this",
      bytes, in_use_, limit_);
  void* memory = memory_->allocate(bytes);
  in_use_ += bytes;
  return memory;
}

void BoundedMemory::deallocate(void* memory, int64_t bytes) noexcept {
  memory_->deallocate(memory, bytes);
  in_use_ -= bytes;
}

}  // namespace wan
