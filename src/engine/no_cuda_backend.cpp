#include "core/gpu.h"
#include "engine/backend.h"

namespace wan::engine {

Backend make_cuda_backend(bool required, int) {
  if (required) (void)find_gpus();  // says what to install
  return {};
}

}  // namespace wan::engine
