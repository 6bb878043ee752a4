#include "io/resize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "wan/error.h"

namespace wan::io {
namespace {

const std::string root = std::string(WAN_SOURCE_DIR) + "/tests/";

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Takes consecutive values from a fixture.
class Cursor {
 public:
  explicit Cursor(const std::string& path) : data_(read_text(path)) {}
  bool done() const { return at_ == data_.size(); }
  template <class T>
  std::vector<T> take(int64_t count) {
    std::vector<T> values(static_cast<size_t>(count));
    const size_t bytes = values.size() * sizeof(T);
    if (data_.size() - at_ < bytes) throw std::runtime_error("fixture too short");
    std::memcpy(values.data(), data_.data() + at_, bytes);
    at_ += bytes;
    return values;
  }

 private:
  std::string data_;
  size_t at_ = 0;
};

/// One float32 tensor of tests/golden/tiny/expected.safetensors.
std::vector<float> golden(const std::string& name) {
  const std::string file = read_text(root + "golden/tiny/expected.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, file.data(), 8);
  const auto entry = nlohmann::json::parse(file.substr(8, header)).at(name);
  const size_t begin = entry.at("data_offsets")[0], end = entry.at("data_offsets")[1];
  std::vector<float> values((end - begin) / 4);
  std::memcpy(values.data(), file.data() + 8 + header + begin, end - begin);
  return values;
}

TEST(Resize, LanczosEqualsPilExactly) {
  Cursor fixture(root + "fixtures/resize/lanczos.bin");
  int cases = 0;
  for (; !fixture.done(); ++cases) {
    const auto n = fixture.take<int32_t>(4);
    SCOPED_TRACE(testing::Message() << n[0] << "x" << n[1] << " -> " << n[2] << "x" << n[3]);
    const Image source{n[0], n[1], fixture.take<uint8_t>(n[0] * n[1] * 3)};
    const auto expected = fixture.take<uint8_t>(n[2] * n[3] * 3);
    const Image actual = resize_lanczos(source, n[2], n[3]);
    EXPECT_EQ(actual.width, n[2]);
    EXPECT_EQ(actual.height, n[3]);
    EXPECT_TRUE(actual.rgb == expected);
  }
  EXPECT_EQ(cases, 26);
}

TEST(Resize, BicubicFollowsItsFormula) {
  Cursor fixture(root + "fixtures/resize/bicubic.bin");
  int cases = 0;
  for (; !fixture.done(); ++cases) {
    const auto n = fixture.take<int32_t>(4);
    SCOPED_TRACE(testing::Message() << n[0] << "x" << n[1] << " -> " << n[2] << "x" << n[3]);
    const auto source = fixture.take<float>(n[0] * n[1] * 3), expected = fixture.take<float>(n[2] * n[3] * 3);
    const auto actual = resize_bicubic(source, n[1], n[0], n[3], n[2]);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 4e-6) << i;
  }
  EXPECT_EQ(cases, 6);
}

TEST(Resize, BicubicEqualsUpstreamsImageToVideoInput) {
  const Image image = read_image(root + "golden/tiny/input.png");
  const auto expected = golden("i2v_unipc.vae_in");  // [3, 9, 64, 80]; the frames after the first are zero
  const auto actual = resize_bicubic(to_planes(image), image.height, image.width, 64, 80);
  ASSERT_EQ(actual.size(), size_t{3 * 64 * 80});
  float worst = 0;
  for (size_t c = 0; c < 3; ++c)
    for (size_t i = 0; i < 64 * 80; ++i)
      worst = std::max(worst, std::abs(actual[c * 64 * 80 + i] - expected[c * 9 * 64 * 80 + i]));
  EXPECT_LE(worst, 5e-7f);
}

TEST(Resize, LanczosAndCropEqualUpstreamsTextImageToVideoInput) {
  const Image image = read_image(root + "golden/tiny/input.png");  // 90 x 66; scale = max(96 / 90, 64 / 66)
  const Image resized = resize_lanczos(image, 96, 70);
  EXPECT_TRUE(to_planes(crop_centre(resized, 96, 64)) == golden("ti2v_i2v_unipc.vae_in"));
}

TEST(Resize, CropTakesTheMiddle) {
  Image image{5, 4, {}};
  for (uint8_t i = 0; i < 60; ++i) image.rgb.push_back(i);
  const Image crop = crop_centre(image, 2, 1);
  EXPECT_EQ(crop.rgb, (std::vector<uint8_t>{18, 19, 20, 21, 22, 23}));  // row 1, columns 1 and 2
  EXPECT_THROW(crop_centre(image, 6, 1), Error);
  EXPECT_THROW(crop_centre(image, 0, 1), Error);
}

TEST(Resize, RefusesImpossibleSizes) {
  const Image image{1, 1, {1, 2, 3}};
  EXPECT_THROW(resize_lanczos(image, 0, 5), Error);
  EXPECT_THROW(resize_lanczos(image, 1 << 20, 1 << 20), Error);
  EXPECT_THROW(resize_bicubic(std::vector<float>(5), 1, 1, 2, 2), Error);
  EXPECT_THROW(resize_bicubic(std::vector<float>(3), 1, 1, int64_t{1} << 40, int64_t{1} << 40), Error);
}

}  // namespace
}  // namespace wan::io
