#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/tensor.h"

namespace wan {

/// Gives and takes back memory of one device. Implementations: host (256-byte aligned), dry (addresses
/// that exist nowhere, for the planner), and one per accelerator.
class MemoryResource {
 public:
  virtual ~MemoryResource() = default;
  /// Throws Error(out_of_memory) naming the size and the device.
  virtual void* allocate(int64_t bytes) = 0;
  virtual void deallocate(void* memory, int64_t bytes) noexcept = 0;
  virtual Device device() const noexcept = 0;

  /// Copies between host memory and this device; for small things outside the step loop. Waits for the copy.
  virtual void upload(void* destination, const void* host, int64_t bytes) = 0;
  virtual void download(void* host, const void* source, int64_t bytes) = 0;
  virtual void fill_zero(void* memory, int64_t bytes) = 0;
};

/// Host memory; one shared stateless object.
MemoryResource& host_memory() noexcept;

/// Addresses without memory behind them, for measuring what a computation would take.
class DryMemory final : public MemoryResource {
 public:
  void* allocate(int64_t bytes) override;
  void deallocate(void*, int64_t bytes) noexcept override { in_use_ -= bytes; }
  Device device() const noexcept override { return {Device::Kind::dry, 0}; }
  void upload(void*, const void*, int64_t) override {}
  void download(void*, const void*, int64_t) override {}
  void fill_zero(void*, int64_t) override {}
  int64_t in_use() const noexcept { return in_use_; }

 private:
  int64_t next_ = 4096;
  int64_t in_use_ = 0;
};

/// An owner of one block of memory; movable, frees in its destructor.
class Buffer {
 public:
  Buffer() = default;
  Buffer(MemoryResource& memory, int64_t bytes);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  void* data() const noexcept { return data_; }
  int64_t size() const noexcept { return bytes_; }
  /// A contiguous tensor at the start of the block; it must fit.
  Tensor tensor(DType dtype, const Shape& shape) const;

 private:
  MemoryResource* memory_ = nullptr;
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

/// A buffer that is just large enough for one tensor, and that tensor.
struct OwnedTensor {
  OwnedTensor() = default;
  OwnedTensor(MemoryResource& memory, DType dtype, const Shape& shape)
      : buffer(memory, shape.numel() * size_of(dtype)), tensor(buffer.tensor(dtype, shape)) {}
  Buffer buffer;
  Tensor tensor;
};

/// A stack of scratch memory: tensors made inside a scope are gone when the scope ends.
/// Grows by blocks that stay for reuse; where several lie unused behind the end of a scope, they make way for one that
/// is as large as the most that was ever needed there, so that a repeated computation soon holds little more than its
/// peak. `peak()` is the most that was ever in use.
class Arena {
 public:
  explicit Arena(MemoryResource& memory) : memory_(&memory) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  class [[nodiscard]] Scope {
   public:
    explicit Scope(Arena& arena) noexcept
        : arena_(&arena), block_(arena.block_), used_(arena.used_), total_(arena.in_use_) {}
    ~Scope() { arena_->rewind(block_, used_, total_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena* arena_;
    size_t block_;
    int64_t used_, total_;
  };
  Scope scope() noexcept { return Scope(*this); }

  /// Uninitialised, 256-byte aligned, contiguous. Throws Error(out_of_memory).
  Tensor make(DType dtype, const Shape& shape);
  MemoryResource& memory() const noexcept { return *memory_; }
  int64_t peak() const noexcept { return peak_; }
  /// Returns all blocks to the resource; no scope may be open with live tensors.
  void release() noexcept;

 private:
  void rewind(size_t block, int64_t used, int64_t total) noexcept;

  MemoryResource* memory_;
  std::vector<Buffer> blocks_;
  size_t block_ = 0;  // the block that allocations come from
  int64_t used_ = 0;  // bytes used of it
  int64_t in_use_ = 0, peak_ = 0;
  int64_t most_ = 0;  // in use since the last release()
};

}  // namespace wan
