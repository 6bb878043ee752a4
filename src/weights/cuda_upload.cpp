#include <array>
#include <cassert>
#include <deque>

#include "core/cuda/memory.h"
#include "core/cuda/stream.h"
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

}  // namespace

std::unique_ptr<Upload> make_cuda_upload(MemoryResource& memory) {
  return std::make_unique<CudaUpload>(dynamic_cast<cuda::CudaMemory&>(memory).stream());
}

}  // namespace wan::weights
