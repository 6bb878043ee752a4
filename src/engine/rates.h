#pragma once
#include <optional>
#include <string>

#include "ops/profile.h"

namespace wan::engine {

/// What a GPU's own libraries reach in bf16 at these models' shapes, as measured: the floors that a part is held
/// against.
struct Rates {
  const char* gpu;     ///< as its driver names it
  const char* source;  ///< how and when it was measured
  double linear;       ///< FLOP/s of matrix products
  double attention;    ///< FLOP/s
  double copy;         ///< bytes/s read and written by a copy on the device
  /// FLOP/s of a 3x3x3 convolution by the fewer of its channels.
  double conv(int64_t channels) const noexcept;
};

/// Null for GPUs that were not measured.
const Rates* find_rates(const std::string& gpu) noexcept;

/// The larger of FLOP over the rate of its kind and bytes over the rate of a copy.
double floor_seconds(const Rates& rates, const ops::OpWork& work) noexcept;

}  // namespace wan::engine
