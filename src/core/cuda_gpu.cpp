#include <cuda_runtime_api.h>

#include "core/error.h"
#include "core/gpu.h"

namespace wan {
namespace {

/// 13000 -> "13.0"
std::string cuda_version(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

std::string uuid_text(const cudaUUID_t& uuid) {
  std::string out = "GPU-";
  for (size_t i = 0; i < sizeof uuid.bytes; ++i)
    out += fmt::format("{}{:02x}", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                       static_cast<unsigned char>(uuid.bytes[i]));
  return out;
}

}  // namespace

std::vector<GpuInfo> find_gpus() {
  int driver = 0, count = 0;
  (void)cudaDriverGetVersion(&driver);  // stays 0 without a driver
  const cudaError_t status = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();  // the error is reported below, once
  if (status == cudaErrorNoDevice || (status == cudaErrorInsufficientDriver && driver == 0)) return {};
  require(
      status != cudaErrorInsufficientDriver, ErrorCode::device,
      "[CUDA] the driver runs CUDA up to {}, this program needs {}; install a newer NVIDIA driver, or build with an "
      "older CUDA toolkit",
      cuda_version(driver), cuda_version(CUDART_VERSION));
  require(status == cudaSuccess, ErrorCode::device,
          "[CUDA] the devices cannot be listed: {} ({}); does nvidia-smi work?", cudaGetErrorString(status),
          cudaGetErrorName(status));

  std::vector<GpuInfo> gpus;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    const cudaError_t read = cudaGetDeviceProperties(&properties, i);
    require(read == cudaSuccess, ErrorCode::device, "[CUDA] device {} cannot be read: {} ({})", i,
            cudaGetErrorString(read), cudaGetErrorName(read));
    gpus.push_back({properties.name, properties.major, properties.minor,
                    static_cast<int64_t>(properties.totalGlobalMem), uuid_text(properties.uuid)});
  }
  return gpus;
}

}  // namespace wan
