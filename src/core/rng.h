#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "wan/types.h"

namespace wan {

/// The device facts that the order of torch's CUDA stream depends on, for tensors of more than
/// sm_count * max_threads_per_sm elements. Every GPU gives the same values below that size.
struct CudaLaunchShape {
  int32_t sm_count = 132;             ///< H100 and H200: 132, A100: 108, A40: 84, RTX 4090: 128
  int32_t max_threads_per_sm = 2048;  ///< compute capability 8.0 and 9.0: 2048; 8.6 and 8.9: 1536
};

/// A stream of float32 standard normal numbers. Each fill() is one torch.randn(out.size()) on the same generator:
/// two calls give what two calls in torch give, which is not what one call of the summed length gives.
class RandomStream {
 public:
  virtual ~RandomStream() = default;
  virtual void fill(std::span<float> out) = 0;
};

/// A stream that starts as torch.Generator(kind).manual_seed(seed) does. Throws invalid_argument for a launch shape
/// that no GPU has. Draws are equal to torch's; values differ by the device's own approximations (about 1e-7 times
/// the value's Box-Muller radius).
std::unique_ptr<RandomStream> make_random_stream(Rng kind, uint64_t seed, const CudaLaunchShape& shape = {});

/// A seed from the operating system, uniform in 0 .. 2^63-1 (what --base_seed -1 asks for).
/// Throws Error{device} when the system gives no random bytes.
int64_t random_seed();

}  // namespace wan
