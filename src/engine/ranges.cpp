#include "engine/ranges.h"

#include <cmath>

#include "core/error.h"

namespace wan::engine {
namespace {

constexpr auto invalid = ErrorCode::invalid_argument;
constexpr int64_t max_positions = 1024;  // upstream's RoPE tables end here, per axis

}  // namespace

void check_multiple(const char* flag, int64_t value, int64_t step) {
  const int64_t max = max_positions * step;
  require(value >= step && value <= max, invalid, "[{}] {} is out of range; expected {} to {}", flag, value, step, max);
  const int64_t below = value / step * step;
  require(value % step == 0, invalid,
          "[{}] {} is not a multiple of {}, which this model needs; the nearest are {} and {}", flag, value, step,
          below, below + step);
}

void check_frames(const char* flag, int64_t frames, int64_t stride) {
  const int64_t max = (max_positions - 1) * stride + 1;
  require(frames >= 1 && frames <= max, invalid, "[{}] {} is out of range; expected 1 to {}", flag, frames, max);
  const int64_t below = (frames - 1) / stride * stride + 1;
  require(frames == below, invalid, "[{}] {} is not {}n + 1; the nearest are {} and {}", flag, frames, stride, below,
          below + stride);
}

void check_number(const char* flag, double value, double low, double high) {
  require(std::isfinite(value) && value >= low && value <= high, invalid, "[{}] {} is out of range; expected {} to {}",
          flag, value, low, high);
}

}  // namespace wan::engine
