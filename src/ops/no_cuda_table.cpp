#include "core/error.h"
#include "ops/cuda.h"

namespace wan::ops {

std::shared_ptr<const KernelTable> make_cuda_kernels(void*) {
  fail(ErrorCode::unsupported,
       "[CUDA] this program was built without CUDA; install the CUDA toolkit (nvcc) and build with the preset cuda");
}

std::shared_ptr<void> make_plans_ahead(const KernelTable&, const std::function<void(const KernelTable&)>&) {
  return nullptr;
}

}  // namespace wan::ops
