#include "comm/nccl.h"
#include "core/error.h"

namespace wan::comm {
namespace {

[[noreturn]] void missing() {
  fail(ErrorCode::unsupported,
       "[NCCL] this program was built without CUDA; expected a build with it for more than one GPU (cmake --preset "
       "cuda)");
}

}  // namespace

std::string nccl_version() { missing(); }
std::unique_ptr<Communicator> make_nccl(std::shared_ptr<Control>, int) { missing(); }

}  // namespace wan::comm
