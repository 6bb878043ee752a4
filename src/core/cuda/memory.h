#pragma once
#include <cuda_runtime_api.h>

#include "core/memory.h"

namespace wan::cuda {

/// Memory of the current GPU. Copies and fills go through `stream`, so that they keep their order with its kernels;
/// copies wait for it. Freeing waits for the whole device: not for the step loop.
class CudaMemory : public MemoryResource {
 public:
  /// The stream must outlive this.
  CudaMemory(int device, cudaStream_t stream) noexcept : device_(device), stream_(stream) {}

  void* allocate(int64_t bytes) override;
  void deallocate(void* memory, int64_t bytes) noexcept override;
  Device device() const noexcept override { return {Device::Kind::cuda, device_}; }
  void upload(void* destination, const void* host, int64_t bytes) override;
  void download(void* host, const void* source, int64_t bytes) override;
  void fill_zero(void* memory, int64_t bytes) override;

  cudaStream_t stream() const noexcept { return stream_; }
  int64_t in_use() const noexcept { return in_use_; }

 private:
  int device_;
  cudaStream_t stream_;
  int64_t in_use_ = 0;  // for the message when no more can be had
};

}  // namespace wan::cuda
