#include "core/cuda/memory.h"
#include "core/cuda/stream.h"
#include "core/error.h"
#include "core/gpu.h"
#include "engine/backend.h"
#include "ops/cuda.h"

namespace wan::engine {
namespace {

/// What a back end's parts share; the table goes before the stream that it uses.
struct Gpu {
  cuda::Stream stream;
  cuda::CudaMemory memory{0, stream.get()};
  std::shared_ptr<const ops::KernelTable> kernels = ops::make_cuda_kernels(stream.get());
};

}  // namespace

Backend make_cuda_backend(bool required) {
  const std::vector<GpuInfo> gpus = find_gpus();
  if (gpus.empty() && !required) return {};
  require(!gpus.empty(), ErrorCode::device,
          "[--device cuda] no NVIDIA GPU was found, or its driver is not installed (does nvidia-smi list it?); use "
          "--device cpu");
  require(
      gpus[0].major >= 8, ErrorCode::device,
      "[--device cuda] found {} (compute capability {}.{}), needed is 8.0 or newer (A100, RTX 30); use --device cpu",
      gpus[0].name, gpus[0].major, gpus[0].minor);
  cuda::check(cudaSetDevice(0));
  const auto gpu = std::make_shared<Gpu>();
  Backend backend;
  backend.memory = {gpu, &gpu->memory};
  backend.kernels = {gpu, gpu->kernels.get()};
  backend.upload = weights::make_cuda_upload(gpu->memory);
  backend.copies = weights::make_cuda_copy_queue(gpu->memory);
  backend.stream = gpu->stream.get();
  backend.synchronise = [gpu] { cuda::check(cudaStreamSynchronize(gpu->stream.get())); };
  backend.compute = DType::bf16;
  backend.name = gpus[0].name;
  backend.prepare = [gpu](const auto& show) { return ops::make_plans_ahead(*gpu->kernels, show); };
  backend.available = [gpu] {
    size_t free = 0, total = 0;
    cuda::check(cudaMemGetInfo(&free, &total));
    return static_cast<int64_t>(free) + gpu->memory.in_use();
  };
  backend.capacity = gpus[0].memory_bytes;
  return backend;
}

}  // namespace wan::engine
