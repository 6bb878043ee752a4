#include "engine/backend.h"

#include "core/error.h"

namespace wan::engine {
namespace {

template <class T>
std::shared_ptr<T> not_owned(T& object) {
  return {std::shared_ptr<void>(), &object};
}

}  // namespace

Backend make_backend(const std::string& device) {
  require(device == "auto" || device == "cpu" || device == "cuda", ErrorCode::invalid_argument,
          "[--device] '{}' is unknown; expected auto, cpu or cuda", device);
  if (device != "cpu")
    if (Backend gpu = make_cuda_backend(device == "cuda"); gpu.memory) return gpu;
  Backend cpu;
  cpu.memory = not_owned(host_memory());
  cpu.kernels = not_owned(ops::cpu_kernels());
  cpu.synchronise = [] {};
  cpu.name = "CPU";
  return cpu;
}

void check_capacity(const Backend& backend, int64_t weight_bytes) {
  const auto gb = [](int64_t bytes) { return static_cast<double>(bytes) / 1e9; };
  require(
      backend.capacity == 0 || weight_bytes <= backend.capacity, ErrorCode::out_of_memory,
      "[GPU memory] the transformers of this checkpoint take {:.1f} GB here, and {} has {:.1f} GB; this version keeps "
      "them there whole: use --dtype bf16 if it was f32, a smaller checkpoint (ti2v-5B takes 10 GB), a larger GPU, or "
      "--device cpu",
      gb(weight_bytes), backend.name, gb(backend.capacity));
}

}  // namespace wan::engine
