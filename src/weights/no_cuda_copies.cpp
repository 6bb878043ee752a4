#include "core/error.h"
#include "weights/copy_queue.h"
#include "weights/gather_queue.h"
#include "weights/upload.h"

namespace wan::weights {
namespace {

[[noreturn]] void refuse() {
  fail(ErrorCode::unsupported,
       "[CUDA] this program was built without CUDA; install the CUDA toolkit (nvcc) and build with the preset cuda");
}

}  // namespace

std::unique_ptr<Upload> make_cuda_upload(MemoryResource&) { refuse(); }

std::unique_ptr<CopyQueue> make_cuda_copy_queue(MemoryResource&) { refuse(); }

std::unique_ptr<GatherQueue> make_cuda_gather_queue(MemoryResource&) { refuse(); }

}  // namespace wan::weights
