#include "engine/backend.h"

#include "core/error.h"

namespace wan::engine {
namespace {

template <class T>
std::shared_ptr<T> not_owned(T& object) {
  return {std::shared_ptr<void>(), &object};
}

}  // namespace

Backend make_backend(const std::string& device, int gpu_number) {
  require(device == "auto" || device == "cpu" || device == "cuda", ErrorCode::invalid_argument,
          "[--device] '{}' is unknown; expected auto, cpu or cuda", device);
  if (device != "cpu")
    if (Backend gpu = make_cuda_backend(device == "cuda", gpu_number); gpu.memory) return gpu;
  Backend cpu;
  cpu.memory = not_owned(host_memory());
  cpu.kernels = not_owned(ops::cpu_kernels());
  cpu.synchronise = [] {};
  cpu.name = "CPU";
  return cpu;
}

}  // namespace wan::engine
