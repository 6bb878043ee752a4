#include "core/error.h"
#include "weights/upload.h"

namespace wan::weights {

std::unique_ptr<Upload> make_cuda_upload(MemoryResource&) {
  fail(ErrorCode::unsupported,
       "[CUDA] this program was built without CUDA; install the CUDA toolkit (nvcc) and build with the preset cuda");
}

}  // namespace wan::weights
