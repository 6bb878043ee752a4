#pragma once
#include <optional>
#include <string>

#include "ops/profile.h"

namespace wan::engine {

/// What a device reaches at these models' shapes: the floors that a part is held against, and what times are planned
/// with.
struct Rates {
  const char* gpu;     ///< as its driver names it
  const char* source;  ///< how and when it was measured
  double linear;       ///< FLOP/s of bf16 matrix products
  double attention;    ///< FLOP/s, bf16
  double f32;          ///< FLOP/s of both in float32
  double copy;         ///< bytes/s read and written by a copy on the device
  double conv_scale;   ///< of the H100's rates of convolutions in bf16; 0: convolutions run as matrix products do
  /// FLOP/s of a 3x3x3 convolution in bf16 by the fewer of its channels.
  double conv(int64_t channels) const noexcept;
};

/// As measured; null for GPUs that were not.
const Rates* find_rates(const std::string& gpu) noexcept;

/// The larger of FLOP over the rate of its kind and bytes over the rate of a copy.
double floor_seconds(const Rates& rates, const ops::OpWork& work) noexcept;

}  // namespace wan::engine
