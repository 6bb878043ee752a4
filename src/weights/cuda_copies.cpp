#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdlib>
#include <deque>

#include "core/checked.h"
#include "core/cuda/memory.h"
#include "core/cuda/stream.h"
#include "core/error.h"
#include "weights/copy_queue.h"
#include "weights/gather_queue.h"
#include "weights/upload.h"

namespace wan::weights {
namespace {

// Small enough that the threads which fill the buffers end together, large enough for the full speed of the bus.
constexpr size_t ring_size = 32;
constexpr size_t slot_bytes = size_t{2} << 20;

class CudaUpload final : public Upload {
 public:
  explicit CudaUpload(cudaStream_t stream) : stream_(stream) {
    void* memory = nullptr;
    cuda::check(cudaMallocHost(&memory, ring_size * slot_bytes));
    memory_ = Pinned(memory);
    for (size_t i = 0; i < ring_size; ++i) free_.push_back(i);
  }
  ~CudaUpload() override { (void)cudaStreamSynchronize(stream_); }  // copies still read the ring

  int64_t buffers() const noexcept override { return static_cast<int64_t>(ring_size); }
  int64_t buffer_bytes() const noexcept override { return static_cast<int64_t>(slot_bytes); }

  std::span<std::byte> stage() override {
    assert(!free_.empty());
    const size_t slot = free_.front();  // the one that was sent the longest ago
    sent_[slot].wait();
    free_.pop_front();
    return {base() + slot * slot_bytes, slot_bytes};
  }
  void send(std::span<const std::byte> staged, void* destination, int64_t bytes) override {
    const size_t slot = static_cast<size_t>(staged.data() - base()) / slot_bytes;
    free_.push_back(slot);
    if (bytes == 0) return;
    cuda::check(
        cudaMemcpyAsync(destination, staged.data(), static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_));
    sent_[slot].record(stream_);
  }

 private:
  using Pinned = cuda::Handle<void*, cudaFreeHost>;
  std::byte* base() const noexcept { return static_cast<std::byte*>(memory_.get()); }

  cudaStream_t stream_;
  Pinned memory_;
  std::array<cuda::Event, ring_size> sent_;
  std::deque<size_t> free_;  // in the order in which they were sent
};

/// Memory of the host in large pages, of which locking takes less time. Not locked until lock().
class LockableMemory final : public MemoryResource {
 public:
  explicit LockableMemory(int gpu) : gpu_(gpu) {}

  void* allocate(int64_t bytes) override {
    const int64_t whole = round_up(std::max<int64_t>(bytes, 1), large_page);
    void* memory = std::aligned_alloc(static_cast<size_t>(large_page), static_cast<size_t>(whole));
    if (memory == nullptr) refused(bytes);
    (void)madvise(memory, static_cast<size_t>(whole), MADV_HUGEPAGE);  // a wish
    return memory;
  }
  void deallocate(void* memory, int64_t) noexcept override {
    if (cudaHostUnregister(memory) != cudaSuccess) (void)cudaGetLastError();  // was never locked
    std::free(memory);
  }
  void lock(void* memory, int64_t bytes) const {
    cuda::check(cudaSetDevice(gpu_));  // of this thread
    const cudaError_t status = cudaHostRegister(memory, static_cast<size_t>(bytes), cudaHostRegisterDefault);
    if (status == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      refused(bytes);
    }
    cuda::check(status);
  }
  Device device() const noexcept override { return {}; }
  void upload(void* to, const void* from, int64_t bytes) override { host_memory().upload(to, from, bytes); }
  void download(void* to, const void* from, int64_t bytes) override { host_memory().download(to, from, bytes); }
  void fill_zero(void* memory, int64_t bytes) override { host_memory().fill_zero(memory, bytes); }

 private:
  static constexpr int64_t large_page = int64_t{2} << 20;

  [[noreturn]] static void refused(int64_t bytes) {
    fail(ErrorCode::out_of_memory,
         "[host memory] {} MiB more of page-locked memory were refused by the system; give a smaller --ram",
         bytes >> 20);
  }

  int gpu_;
};

/// Events by number, made as they are needed.
class Marks {
 public:
  cuda::Event& at(int64_t slot) {
    while (static_cast<int64_t>(events_.size()) <= slot) events_.emplace_back();
    return events_[static_cast<size_t>(slot)];
  }

 private:
  std::deque<cuda::Event> events_;
};

class CudaCopyQueue final : public CopyQueue {
 public:
  explicit CudaCopyQueue(const cuda::CudaMemory& memory) : compute_(memory.stream()), host_(memory.device().index) {}

  MemoryResource& host() override { return host_; }
  void lock_pages(void* host, int64_t bytes) override { host_.lock(host, bytes); }
  void copy(void* device, const void* host, int64_t bytes) override {
    cuda::check(cudaMemcpyAsync(device, host, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, copies_.get()));
  }
  Upload& upload() override { return upload_; }
  void mark_copied(int64_t slot) override { copied_.at(slot).record(copies_.get()); }
  void compute_after_copies(int64_t slot) override { copied_.at(slot).hold(compute_); }
  void mark_computed(int64_t slot) override { computed_.at(slot).record(compute_); }
  void copies_after_compute(int64_t slot) override { computed_.at(slot).hold(copies_.get()); }
  void finish() override { copies_.wait(); }

 private:
  cudaStream_t compute_;
  cuda::Stream copies_;
  LockableMemory host_;
  CudaUpload upload_{copies_.get()};
  Marks copied_, computed_;
};

class CudaGatherQueue final : public GatherQueue {
 public:
  explicit CudaGatherQueue(const cuda::CudaMemory& memory)
      : compute_(memory.stream()), memory_(memory.device().index, gathers_.get()) {}

  void* stream() override { return gathers_.get(); }
  CopyQueue& shards() override { return shards_; }
  void mark_gathered(int64_t slot) override { gathered_.at(slot).record(gathers_.get()); }
  void compute_after_gather(int64_t slot) override { gathered_.at(slot).hold(compute_); }
  void mark_computed(int64_t slot) override { computed_.at(slot).record(compute_); }
  void gather_after_compute(int64_t slot) override { computed_.at(slot).hold(gathers_.get()); }
  void finish() override { gathers_.wait(); }

 private:
  cudaStream_t compute_;
  cuda::Stream gathers_;
  cuda::CudaMemory memory_;  // of nothing; it says on which stream shards are used
  CudaCopyQueue shards_{memory_};
  Marks gathered_, computed_;
};

}  // namespace

std::unique_ptr<CopyQueue> make_cuda_copy_queue(MemoryResource& memory) {
  return std::make_unique<CudaCopyQueue>(dynamic_cast<cuda::CudaMemory&>(memory));
}

std::unique_ptr<GatherQueue> make_cuda_gather_queue(MemoryResource& memory) {
  return std::make_unique<CudaGatherQueue>(dynamic_cast<cuda::CudaMemory&>(memory));
}

std::unique_ptr<Upload> make_cuda_upload(MemoryResource& memory) {
  return std::make_unique<CudaUpload>(dynamic_cast<cuda::CudaMemory&>(memory).stream());
}

}  // namespace wan::weights
