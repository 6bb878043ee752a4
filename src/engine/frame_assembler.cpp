#include "engine/frame_assembler.h"

#include <utility>

#include "core/error.h"
#include "io/video.h"

namespace wan::engine {

FrameAssembler::FrameAssembler(int64_t frames, int64_t height, int64_t width, Finished finished)
    : frames_(frames), height_(height), width_(width), finished_(std::move(finished)) {}

void FrameAssembler::add(int64_t frame, int64_t row, int64_t count, std::span<const float> values) {
  const int64_t size = static_cast<int64_t>(values.size()), row_values = 3 * count * width_;
  const int64_t rows = row_values > 0 ? size / row_values : 0;
  require(rows > 0 && size == rows * row_values && frame >= 0 && frame + count <= frames_ && row >= 0 &&
              row + rows <= height_,
          ErrorCode::invalid_argument,
          "[video] {} values for {} frames from frame {} and row {} on, in a video of {} x {} x {}", size, count, frame,
          row, frames_, height_, width_);
  const bool whole = rows == height_;
  const int64_t line = 3 * width_, frame_bytes = height_ * line;
  rgb_.resize(static_cast<size_t>(whole ? frame_bytes : frames_ * frame_bytes));
  const std::span<uint8_t> rgb(rgb_);
  for (int64_t i = 0; i < count; ++i) {
    const auto start = static_cast<size_t>(whole ? 0 : (frame + i) * frame_bytes);
    io::frame_to_rgb8(values, count, i,
                      rgb.subspan(start + static_cast<size_t>(row * line), static_cast<size_t>(rows * line)));
    if (row + rows == height_) finished_(rgb.subspan(start, static_cast<size_t>(frame_bytes)));
  }
}

}  // namespace wan::engine
