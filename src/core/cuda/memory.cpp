#include "core/cuda/memory.h"

#include <algorithm>

#include "core/cuda/check.h"
#include "core/error.h"

namespace wan::cuda {

void* CudaMemory::allocate(int64_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, static_cast<size_t>(std::max<int64_t>(bytes, 1)));
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    size_t free = 0, total = 0;
    (void)cudaMemGetInfo(&free, &total);
    fail(ErrorCode::out_of_memory,
         "[GPU memory] {} MiB more were needed; {} MiB are in use here, {} of {} MiB are free; use a smaller size or "
         "fewer frames, or end other programs that use this GPU",
         bytes >> 20, in_use_ >> 20, free >> 20, total >> 20);
  }
  check(status);
  in_use_ += bytes;
  return memory;
}

void CudaMemory::deallocate(void* memory, int64_t bytes) noexcept {
  (void)cudaFree(memory);
  in_use_ -= bytes;
}

void CudaMemory::upload(void* destination, const void* host, int64_t bytes) {
  if (bytes <= 0) return;
  check(cudaMemcpyAsync(destination, host, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_));
  check(cudaStreamSynchronize(stream_));
}

void CudaMemory::download(void* host, const void* source, int64_t bytes) {
  if (bytes <= 0) return;
  check(cudaMemcpyAsync(host, source, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream_));
  check(cudaStreamSynchronize(stream_));
}

void CudaMemory::fill_zero(void* memory, int64_t bytes) {
  if (bytes > 0) check(cudaMemsetAsync(memory, 0, static_cast<size_t>(bytes), stream_));
}

}  // namespace wan::cuda
