#include <array>

#include "core/cuda/memory.h"
#include "core/cuda/stream.h"
#include "weights/upload.h"

namespace wan::weights {
namespace {

constexpr size_t ring_size = 4;
constexpr size_t buffer_bytes = size_t{16} << 20;

class CudaUpload final : public Upload {
 public:
  explicit CudaUpload(cudaStream_t stream) : stream_(stream) {
    for (Slot& slot : ring_) {
      void* memory = nullptr;
      cuda::check(cudaMallocHost(&memory, buffer_bytes));
      slot.memory = Pinned(memory);
    }
  }
  ~CudaUpload() override { (void)cudaStreamSynchronize(stream_); }  // copies still read the ring

  std::span<std::byte> stage() override {
    now_ = (now_ + 1) % ring_size;
    ring_[now_].sent.wait();
    return {static_cast<std::byte*>(ring_[now_].memory.get()), buffer_bytes};
  }
  void send(void* destination, int64_t bytes) override {
    cuda::check(cudaMemcpyAsync(destination, ring_[now_].memory.get(), static_cast<size_t>(bytes),
                                cudaMemcpyHostToDevice, stream_));
    ring_[now_].sent.record(stream_);
  }

 private:
  using Pinned = cuda::Handle<void*, cudaFreeHost>;
  struct Slot {
    Pinned memory;
    cuda::Event sent;
  };
  cudaStream_t stream_;
  std::array<Slot, ring_size> ring_;
  size_t now_ = 0;
};

}  // namespace

std::unique_ptr<Upload> make_cuda_upload(MemoryResource& memory) {
  return std::make_unique<CudaUpload>(dynamic_cast<cuda::CudaMemory&>(memory).stream());
}

}  // namespace wan::weights
