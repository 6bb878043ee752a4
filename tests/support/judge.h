#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

/// Measures what a clip of the demo model's world shows, from its pixels alone. The ideas and thresholds are those of
/// tools/demo_model/judge.py; this one follows a single object.
namespace wan::test {

/// Frames of rgb bytes, [T][height, width, 3].
struct Clip {
  int width = 0, height = 0;
  std::vector<std::vector<uint8_t>> frames;
};

/// What the largest moving thing is and does. Names as in the prompts of tools/demo_model.
struct Seen {
  int objects = 0;  ///< at once, in the middle one of all frames
  std::string colour = "none", shape = "none", motion = "none";
  bool operator==(const Seen&) const = default;
};

Seen judge(const Clip& clip);

/// Peak signal-to-noise ratio of two rgb pictures of one size, in dB.
double psnr(std::span<const uint8_t> a, std::span<const uint8_t> b);

std::string to_string(const Seen& seen);

}  // namespace wan::test
