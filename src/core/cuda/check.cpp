#include "core/cuda/check.h"

#include <string_view>

#include "core/error.h"

namespace wan::cuda {

void fail_call(const char* library, const char* name, const char* text, bool out_of_memory,
               std::source_location where) {
  const std::string_view path = where.file_name();
  const auto file = path.substr(path.find_last_of('/') + 1);
  if (out_of_memory)
    fail(ErrorCode::out_of_memory,
         "[{}] the GPU's memory ran out ({} at {}:{}); use a smaller size or fewer frames, or end other programs that "
         "use this GPU",
         library, name, file, where.line());
  fail(ErrorCode::device, "[{}] {} ({}) at {}:{}; if it happens again, run with CUDA_LAUNCH_BLOCKING=1 and report it",
       library, text, name, file, where.line());
}

void check(cudaError_t status, std::source_location where) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();
  fail_call("CUDA", cudaGetErrorName(status), cudaGetErrorString(status), status == cudaErrorMemoryAllocation, where);
}

void check_launch(std::source_location where) { check(cudaGetLastError(), where); }

}  // namespace wan::cuda
