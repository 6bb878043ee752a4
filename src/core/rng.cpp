#include "core/rng.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "core/rng_streams.h"

namespace wan {

std::unique_ptr<RandomStream> make_random_stream(Rng kind, uint64_t seed, const CudaLaunchShape& shape) {
  if (kind == Rng::cpu) return std::make_unique<TorchCpuStream>(seed);
  return std::make_unique<TorchCudaStream>(seed, shape);
}

int64_t random_seed() {
  uint64_t bits = 0;
  for (;;) {
    const ssize_t got = getrandom(&bits, sizeof bits, 0);
    if (got == static_cast<ssize_t>(sizeof bits)) return static_cast<int64_t>(bits >> 1);
    if (got < 0 && errno == EINTR) continue;
    fail(ErrorCode::device, "[random seed] the system gave no random bytes ({}); pass a seed of your own",
         got < 0 ? std::strerror(errno) : "short read");
  }
}

}  // namespace wan
