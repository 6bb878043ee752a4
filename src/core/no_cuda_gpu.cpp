#include "core/error.h"
#include "core/gpu.h"

namespace wan {

std::vector<GpuInfo> find_gpus() {
  fail(ErrorCode::unsupported,
       "[CUDA] this program was built without CUDA; install the CUDA toolkit (nvcc) and build with the preset cuda");
}

}  // namespace wan
