#include "engine/frame_assembler.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "io/video.h"

namespace wan::engine {
namespace {

constexpr int64_t frames = 5, height = 7, width = 3;

float value(int64_t channel, int64_t frame, int64_t row, int64_t column) {
  return static_cast<float>((channel * 131 + frame * 37 + row * 17 + column * 5) % 200) / 100.f - 1.f;
}

// [3, count, rows, width]
std::vector<float> part(int64_t frame, int64_t count, int64_t row, int64_t rows) {
  std::vector<float> values;
  for (int64_t c = 0; c < 3; ++c)
    for (int64_t t = 0; t < count; ++t)
      for (int64_t h = 0; h < rows; ++h)
        for (int64_t w = 0; w < width; ++w) values.push_back(value(c, frame + t, row + h, w));
  return values;
}

std::vector<std::vector<uint8_t>> expected() {
  std::vector<std::vector<uint8_t>> all(frames, std::vector<uint8_t>(3 * height * width));
  for (int64_t t = 0; t < frames; ++t) io::frame_to_rgb8(part(t, 1, 0, height), 1, 0, all[static_cast<size_t>(t)]);
  return all;
}

TEST(FrameAssembler, WholeFramesGoOnAtOnce) {
  std::vector<std::vector<uint8_t>> seen;
  FrameAssembler assembler(frames, height, width,
                           [&](std::span<const uint8_t> rgb) { seen.emplace_back(rgb.begin(), rgb.end()); });
  assembler.add(0, 0, 1, part(0, 1, 0, height));
  EXPECT_EQ(seen.size(), 1);
  assembler.add(1, 0, 4, part(1, 4, 0, height));
  EXPECT_EQ(seen, expected());
}

TEST(FrameAssembler, BandsMakeTheSameFrames) {
  std::vector<std::vector<uint8_t>> seen;
  FrameAssembler assembler(frames, height, width,
                           [&](std::span<const uint8_t> rgb) { seen.emplace_back(rgb.begin(), rgb.end()); });
  for (const auto& [row, rows] : {std::pair<int64_t, int64_t>{0, 2}, {2, 4}, {6, 1}}) {
    EXPECT_TRUE(seen.empty());
    assembler.add(0, row, 1, part(0, 1, row, rows));
    assembler.add(1, row, 4, part(1, 4, row, rows));
  }
  EXPECT_EQ(seen, expected());
}

TEST(FrameAssembler, RefusesWhatLiesOutside) {
  FrameAssembler assembler(frames, height, width, [](std::span<const uint8_t>) {});
  EXPECT_THROW(assembler.add(4, 0, 2, part(4, 2, 0, height)), Error);
  EXPECT_THROW(assembler.add(0, 6, 1, part(0, 1, 6, 2)), Error);
  EXPECT_THROW(assembler.add(0, 0, 1, std::vector<float>(10)), Error);
  EXPECT_THROW(assembler.add(0, 0, 1, {}), Error);
}

}  // namespace
}  // namespace wan::engine
