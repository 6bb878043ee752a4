#pragma once
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "core/cuda/memory.h"
#include "core/cuda/stream.h"
#include "core/error.h"
#include "core/gpu.h"
#include "ops/cuda.h"

namespace wan::test {

/// Why GPU tests cannot run here; empty if they can.
inline std::string no_gpu() {
  try {
    return find_gpus().empty() ? "no GPU here" : "";
  } catch (const Error& error) {
    return error.what();
  }
}

/// GPU memory that holds NaN in every float type until somebody writes to it.
class PoisonedGpuMemory final : public cuda::CudaMemory {
 public:
  using CudaMemory::CudaMemory;
  void* allocate(int64_t bytes) override {
    void* memory = CudaMemory::allocate(bytes);
    if (bytes > 0) cuda::check(cudaMemsetAsync(memory, 0xff, static_cast<size_t>(bytes), stream()));
    return memory;
  }
};

/// A GPU context with its own arena.
struct GpuContext {
  explicit GpuContext(DType compute = DType::f32) {
    ctx.arena = &arena;
    ctx.kernels = kernels.get();
    ctx.compute = compute;
    ctx.stream = stream.get();
  }
  GpuContext(const GpuContext&) = delete;
  GpuContext& operator=(const GpuContext&) = delete;

  cuda::Stream stream;
  PoisonedGpuMemory memory{0, stream.get()};
  std::shared_ptr<const ops::KernelTable> kernels = ops::make_cuda_kernels(stream.get());
  Arena arena{memory};
  Context ctx;
};

}  // namespace wan::test
