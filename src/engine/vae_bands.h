#pragma once
#include <cstdint>

namespace wan::engine {

/// In how many bands of rows the VAE works: more take less memory and a little more time.
struct VaeBands {
  int64_t decode = 1, encode = 1;
  bool operator==(const VaeBands&) const = default;
};

}  // namespace wan::engine
