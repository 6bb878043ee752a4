#include "pipeline/sizes.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "wan/error.h"

namespace wan::pipeline {
namespace {

TEST(Sizes, EqualPythonsForEveryRowOfTheTable) {
  std::ifstream file(std::string(WAN_SOURCE_DIR) + "/tests/fixtures/sizes/sizes.csv");
  std::string header;
  std::getline(file, header);
  int rows = 0;
  char comma = 0;
  for (int64_t n[11]; file >> n[0]; ++rows) {
    for (int i = 1; i < 11; ++i) file >> comma >> n[i];
    SCOPED_TRACE(testing::Message() << n[0] << " x " << n[1] << ", area " << n[2] << ", stride " << n[3]);
    const PixelSize image{n[0], n[1]};
    EXPECT_EQ(area_size(image, n[2], {n[3], n[3]}, {2, 2}), (PixelSize{n[5], n[6]}));
    const PixelSize best = best_output_size(image, {n[4], n[4]}, n[2]);
    EXPECT_EQ(best, (PixelSize{n[7], n[8]}));
    EXPECT_EQ(cover_size(image, best), (PixelSize{n[9], n[10]}));
  }
  EXPECT_EQ(rows, 1200);
}

TEST(Sizes, TheGoldenCases) {
  EXPECT_EQ(area_size({90, 66}, 96 * 64, {8, 8}, {2, 2}), (PixelSize{80, 64}));
  EXPECT_EQ(best_output_size({90, 66}, {32, 32}, 96 * 64), (PixelSize{96, 64}));
  EXPECT_EQ(cover_size({90, 66}, {96, 64}), (PixelSize{96, 70}));
}

TEST(Sizes, AVanishingSideIsRefused) {
  EXPECT_THROW(area_size({100000, 1}, 1280 * 720, {8, 8}, {2, 2}), Error);
  EXPECT_THROW(best_output_size({100000, 1}, {32, 32}, 1280 * 704), Error);
  EXPECT_THROW(best_output_size({1, 100000}, {32, 32}, 1280 * 704), Error);
  EXPECT_THROW(best_output_size({10, 10}, {32, 32}, 900), Error);
  EXPECT_THROW(area_size({0, 10}, 900, {8, 8}, {2, 2}), Error);
}

}  // namespace
}  // namespace wan::pipeline
