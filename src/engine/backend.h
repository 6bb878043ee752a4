#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/memory.h"
#include "ops/kernels.h"
#include "weights/copy_queue.h"
#include "weights/upload.h"

namespace wan::engine {

/// The device that an engine computes on.
struct Backend {
  std::shared_ptr<MemoryResource> memory;
  std::shared_ptr<const ops::KernelTable> kernels;
  std::unique_ptr<weights::Upload> upload;     ///< absent on the CPU
  std::unique_ptr<weights::CopyQueue> copies;  ///< absent on the CPU
  void* stream = nullptr;                      ///< absent on the CPU
  std::function<void()> synchronise;           ///< waits for all that was queued; throws what it failed with
  DType compute = DType::f32;                  ///< the precision that suits the device
  std::string name;                            ///< "CPU", "NVIDIA H100 80GB HBM3"
  int64_t capacity = 0;                        ///< bytes of the GPU's memory; 0 on the CPU
  /// Prepares in the background for the calls that `show` makes on a table that computes nothing, until the result
  /// ends; absent on the CPU.
  std::function<std::shared_ptr<void>(const std::function<void(const ops::KernelTable&)>& show)> prepare;
  std::function<int64_t()> available;  ///< of them, what is free or in use here; absent on the CPU
};

/// For "cpu", "cuda" or "auto" (a GPU where one is found). Throws Error(invalid_argument) for other names, and
/// Error(device or unsupported) where a GPU is wanted but cannot be used, saying what was found and what is needed.
/// `gpu` is CUDA's number of the one to use.
Backend make_backend(const std::string& device, int gpu = 0);

/// A CUDA device; for make_backend. `memory` is null where there is none, so that "auto" can go on.
Backend make_cuda_backend(bool required, int gpu);

}  // namespace wan::engine
