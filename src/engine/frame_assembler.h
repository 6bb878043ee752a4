#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace wan::engine {

/// Frames as 8-bit RGB from what a decoder gives: whole frames go on at once; bands of rows (all frames of one band,
/// then all of the next, from top to bottom) are collected in host memory, [frames, height, width, 3] bytes, and a
/// frame goes on when its last row has come.
class FrameAssembler {
 public:
  /// Gets a frame, [height, width, 3].
  using Finished = std::function<void(std::span<const uint8_t> rgb)>;

  FrameAssembler(int64_t frames, int64_t height, int64_t width, Finished finished);
  /// Rows from `row` on of `count` frames from `frame` on: values -1..1 [3, count, rows, width]. Throws
  /// Error(invalid_argument) for what does not lie in the video.
  void add(int64_t frame, int64_t row, int64_t count, std::span<const float> values);

 private:
  int64_t frames_, height_, width_;
  Finished finished_;
  std::vector<uint8_t> rgb_;  // one frame, or all
};

}  // namespace wan::engine
