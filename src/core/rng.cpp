#include "core/rng.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "core/rng_streams.h"

namespace wan {

std::unique_ptr<Rng> make_rng(RngKind kind, uint64_t seed, const CudaLaunchShape& shape) {
  if (kind == RngKind::cpu) return std::make_unique<TorchCpuRng>(seed);
  return std::make_unique<TorchCudaRng>(seed, shape);
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
