#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace wan {

/// A CUDA device as the driver describes it.
struct GpuInfo {
  std::string name;
  int major = 0, minor = 0;  ///< compute capability
  int64_t memory_bytes = 0;
  std::string uuid;  ///< "GPU-8a5f2c1e-...", as nvidia-smi shows it
};

/// The CUDA devices that this process may use; empty if the machine has none.
/// Throws Error(device) in one sentence if there are some but the driver cannot run this build (what was found, what is
/// needed, what to install), and Error(unsupported) in a build without CUDA.
std::vector<GpuInfo> find_gpus();

}  // namespace wan
