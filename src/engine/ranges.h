#pragma once
#include <cstdint>

/// What a flag's value may be. All throw Error(invalid_argument) that names the flag and the values that would do.
namespace wan::engine {

/// A side in pixels: a multiple of `step`, as many tokens as the models have positions.
void check_multiple(const char* flag, int64_t value, int64_t step);
/// A clip's frames: stride * n + 1.
void check_frames(const char* flag, int64_t frames, int64_t stride);
/// Finite, low to high.
void check_number(const char* flag, double value, double low, double high);

}  // namespace wan::engine
