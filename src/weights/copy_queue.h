#pragma once
#include <cstdint>
#include <memory>

#include "core/memory.h"
#include "weights/upload.h"

namespace wan::weights {

/// A device's queue of copies from the host, beside the queue that computes. Copies run in the order in which they were
/// asked for, while the other queue goes on; the two wait for each other only where told. Slots are marks that the
/// caller numbers, from 0 on. All but the last function return at once. Throws Error(device).
class CopyQueue {
 public:
  virtual ~CopyQueue() = default;
  /// Host memory for copies, which read it at full speed once its pages are locked. Must not be freed before the copies
  /// are done. Any thread may use it.
  virtual MemoryResource& host() = 0;
  /// Locks the pages of a piece of host() as a whole, after it was filled: many threads that touch memory first are
  /// faster than the system, which would clear it page by page. Any thread may call. Throws Error(out_of_memory too).
  virtual void lock_pages(void* host, int64_t bytes) = 0;
  virtual void copy(void* device, const void* host, int64_t bytes) = 0;
  /// For weights that are not in host(): its sends are copies of this queue. stage() may wait for earlier copies.
  virtual Upload& upload() = 0;

  /// The copies asked for so far are the slot's, and the computing queue will wait for them at compute_after_copies().
  virtual void mark_copied(int64_t slot) = 0;
  virtual void compute_after_copies(int64_t slot) = 0;
  /// What was asked of the computing queue so far uses the slot, and later copies after copies_after_compute() wait for
  /// it.
  virtual void mark_computed(int64_t slot) = 0;
  virtual void copies_after_compute(int64_t slot) = 0;

  /// Waits for all copies.
  virtual void finish() = 0;
};

/// For the host's own memory: copies at once.
class HostCopyQueue final : public CopyQueue {
 public:
  MemoryResource& host() override { return host_memory(); }
  void lock_pages(void*, int64_t) override {}
  void copy(void* device, const void* host, int64_t bytes) override { host_memory().upload(device, host, bytes); }
  Upload& upload() override { return upload_; }
  void mark_copied(int64_t) override {}
  void compute_after_copies(int64_t) override {}
  void mark_computed(int64_t) override {}
  void copies_after_compute(int64_t) override {}
  void finish() override {}

 private:
  PlainUpload upload_{host_memory()};
};

/// For a GPU, whose `memory` is cuda::CudaMemory; computing means its stream. Throws Error(unsupported) in a build
/// without CUDA.
std::unique_ptr<CopyQueue> make_cuda_copy_queue(MemoryResource& memory);

}  // namespace wan::weights
