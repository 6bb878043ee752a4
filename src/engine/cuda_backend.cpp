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
  explicit Gpu(int number) : memory(number, stream.get()) {}
  cuda::Stream stream;
  cuda::CudaMemory memory;
  std::shared_ptr<const ops::KernelTable> kernels = ops::make_cuda_kernels(stream.get());
};

}  // namespace

Backend make_cuda_backend(bool required, int number) {
  const std::vector<GpuInfo> gpus = find_gpus();
  if (gpus.empty() && !required) return {};
  require(!gpus.empty(), ErrorCode::device,
          "[--device cuda] no NVIDIA GPU was found, or its driver is not installed (does nvidia-smi list it?); use "
          "--device cpu");
  require(number < static_cast<int>(gpus.size()), ErrorCode::device, "[--device cuda] GPU {} of {} was wanted", number,
          gpus.size());
  const GpuInfo& found = gpus[static_cast<size_t>(number)];
  require(
      found.major >= 8, ErrorCode::device,
      "[--device cuda] found {} (compute capability {}.{}), needed is 8.0 or newer (A100, RTX 30); use --device cpu",
      found.name, found.major, found.minor);
  cuda::check(cudaSetDevice(number));
  const auto gpu = std::make_shared<Gpu>(number);
  Backend backend;
  backend.memory = {gpu, &gpu->memory};
  backend.kernels = {gpu, gpu->kernels.get()};
  backend.upload = weights::make_cuda_upload(gpu->memory);
  backend.copies = weights::make_cuda_copy_queue(gpu->memory);
  backend.stream = gpu->stream.get();
  backend.synchronise = [gpu] { cuda::check(cudaStreamSynchronize(gpu->stream.get())); };
  backend.compute = DType::bf16;
  backend.name = found.name;
  backend.prepare = [gpu](const auto& show) { return ops::make_plans_ahead(*gpu->kernels, show); };
  backend.available = [gpu] {
    size_t free = 0, total = 0;
    cuda::check(cudaMemGetInfo(&free, &total));
    return static_cast<int64_t>(free) + gpu->memory.in_use();
  };
  backend.capacity = found.memory_bytes;
  return backend;
}

}  // namespace wan::engine
