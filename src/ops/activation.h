#pragma once
#include <cmath>

#include "ops/kernels.h"

/// The activations on single values.
namespace wan::ops::cpu {

/// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
inline float gelu_tanh(float x) noexcept {
  return 0.5f * x * (1.f + std::tanh(0.7978845608028654f * (x + 0.044715f * x * x * x)));
}
/// x / (1 + e^-x)
inline float silu(float x) noexcept { return x / (1.f + std::exp(-x)); }

inline float activate(Activation kind, float x) noexcept {
  switch (kind) {
    case Activation::none: return x;
    case Activation::gelu_tanh: return gelu_tanh(x);
    case Activation::silu: return silu(x);
  }
  return x;
}

}  // namespace wan::ops::cpu
