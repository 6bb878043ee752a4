#pragma once
#include <array>
#include <cstdint>
#include <functional>

#include "core/dtype.h"

/// oneDNN's own primitives at their best: every layout its own choice, weights packed beforehand, memory allocated.
namespace wan::bench {

/// Runs y[m, n] = x[m, k] w[n, k] + b once per call, on OpenMP's default number of threads.
std::function<void()> bare_linear(int64_t m, int64_t k, int64_t n, DType dtype);
/// Runs a convolution of `frames` input frames of h x w once per call, without padding in time and with "same"
/// padding in space.
std::function<void()> bare_conv(int64_t frames, int64_t h, int64_t w, int64_t c, int64_t o,
                                std::array<int64_t, 3> kernel, DType dtype);

}  // namespace wan::bench
