#include "io/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>

#include "core/checked.h"
#include "core/error.h"

namespace wan::io {
namespace {

/// The four source rows (or columns) of one output row, and their weights.
struct CubicTaps {
  std::array<int64_t, 4> index;
  std::array<float, 4> weight;
};

std::vector<CubicTaps> cubic_taps(int64_t size, int64_t new_size) {
  constexpr float a = -0.75f;
  const auto near = [](float x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };       // |x| <= 1
  const auto far = [](float x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };  // 1 < |x| < 2
  const float scale = static_cast<float>(size) / static_cast<float>(new_size);
  std::vector<CubicTaps> taps(static_cast<size_t>(new_size));
  for (int64_t i = 0; i < new_size; ++i) {
    const float position = scale * (static_cast<float>(i) + 0.5f) - 0.5f;
    const int64_t first = std::min(static_cast<int64_t>(std::floor(position)), size - 1);
    const float t = std::clamp(position - static_cast<float>(first), 0.0f, 1.0f);
    CubicTaps& tap = taps[static_cast<size_t>(i)];
    tap.weight = {far(t + 1), near(t), near(1 - t), far(2 - t)};
    for (int64_t k = 0; k < 4; ++k) tap.index[static_cast<size_t>(k)] = std::clamp(first - 1 + k, int64_t{0}, size - 1);
  }
  return taps;
}

constexpr int lanczos_bits = 32 - 8 - 2;
constexpr double lanczos_support = 3;

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos(double x) { return -lanczos_support <= x && x < lanczos_support ? sinc(x) * sinc(x / 3) : 0; }

/// For each output pixel the first source pixel and the fixed-point weights from there on.
struct LanczosTaps {
  int64_t first = 0;
  std::vector<int> weight;
};

std::vector<LanczosTaps> lanczos_taps(int64_t size, int64_t new_size) {
  const double scale = static_cast<double>(size) / static_cast<double>(new_size);
  const double filter_scale = std::max(scale, 1.0);
  const double support = lanczos_support * filter_scale;
  const double inverse = 1.0 / filter_scale;
  std::vector<LanczosTaps> taps(static_cast<size_t>(new_size));
  std::vector<double> weights;
  for (int64_t i = 0; i < new_size; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    LanczosTaps& tap = taps[static_cast<size_t>(i)];
    // NOLINTBEGIN(bugprone-incorrect-roundings): Pillow rounds so.
    tap.first = std::max(static_cast<int64_t>(centre - support + 0.5), int64_t{0});
    const int64_t end = std::min(static_cast<int64_t>(centre + support + 0.5), size);
    // NOLINTEND(bugprone-incorrect-roundings)
    weights.clear();
    double sum = 0;
    for (int64_t x = tap.first; x < end; ++x) {
      weights.push_back(lanczos((static_cast<double>(x) - centre + 0.5) * inverse));
      sum += weights.back();
    }
    for (const double w : weights) {
      const double fixed = (sum != 0 ? w / sum : w) * (1 << lanczos_bits);
      tap.weight.push_back(static_cast<int>(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
    }
  }
  return taps;
}

/// Weighted sum of samples that lie `stride` bytes apart, rounded and clamped to 8 bits.
uint8_t convolve(const LanczosTaps& tap, const uint8_t* samples, int64_t stride) {
  int sum = 1 << (lanczos_bits - 1);
  for (const int w : tap.weight) {
    sum += *samples * w;
    samples += stride;
  }
  return static_cast<uint8_t>(std::clamp(sum >> lanczos_bits, 0, 255));
}

Image stretch_columns(const Image& image, int64_t new_width) {
  Image out{new_width, image.height, std::vector<uint8_t>(static_cast<size_t>(new_width * image.height * 3))};
  const auto taps = lanczos_taps(image.width, new_width);
  uint8_t* target = out.rgb.data();
  for (int64_t y = 0; y < image.height; ++y)
    for (const LanczosTaps& tap : taps)
      for (int64_t c = 0; c < 3; ++c)
        *target++ = convolve(tap, image.rgb.data() + (y * image.width + tap.first) * 3 + c, 3);
  return out;
}

Image stretch_rows(const Image& image, int64_t new_height) {
  const int64_t row = image.width * 3;
  Image out{image.width, new_height, std::vector<uint8_t>(static_cast<size_t>(row * new_height))};
  uint8_t* target = out.rgb.data();
  for (const LanczosTaps& tap : lanczos_taps(image.height, new_height))
    for (int64_t i = 0; i < row; ++i) *target++ = convolve(tap, image.rgb.data() + tap.first * row + i, row);
  return out;
}

void check_new_size(int64_t width, int64_t height) {
  const auto pixels = checked_mul(width, height);
  require(width > 0 && height > 0 && pixels && *pixels <= max_image_pixels, ErrorCode::invalid_argument,
          "[resize] to {} x {} pixels; expected at least 1 and at most {} million pixels", width, height,
          max_image_pixels / 1'000'000);
}

}  // namespace

std::vector<float> to_planes(const Image& image) {
  const size_t pixels = static_cast<size_t>(image.width * image.height);
  std::vector<float> planes(pixels * 3);
  for (size_t i = 0; i < pixels; ++i)
    for (size_t c = 0; c < 3; ++c)
      planes[c * pixels + i] = (static_cast<float>(image.rgb[i * 3 + c]) / 255.0f - 0.5f) / 0.5f;
  return planes;
}

std::vector<float> resize_bicubic(std::span<const float> src, int64_t height, int64_t width, int64_t new_height,
                                  int64_t new_width) {
  check_new_size(new_width, new_height);
  require(height > 0 && width > 0 && static_cast<int64_t>(src.size()) == 3 * height * width,
          ErrorCode::invalid_argument, "[resize] {} values do not make a picture of 3 x {} x {}", src.size(), height,
          width);
  const auto rows = cubic_taps(height, new_height), columns = cubic_taps(width, new_width);
  std::vector<float> out;
  out.reserve(static_cast<size_t>(3 * new_height * new_width));
  for (int64_t c = 0; c < 3; ++c)
    for (const CubicTaps& row : rows)
      for (const CubicTaps& column : columns) {
        float sum = 0;
        for (size_t j = 0; j < 4; ++j) {
          const float* line = src.data() + (c * height + row.index[j]) * width;
          float inner = 0;
          for (size_t i = 0; i < 4; ++i) inner += line[column.index[i]] * column.weight[i];
          sum += inner * row.weight[j];
        }
        out.push_back(sum);
      }
  return out;
}

Image resize_lanczos(const Image& image, int64_t new_width, int64_t new_height) {
  check_new_size(new_width, new_height);
  check_new_size(new_width, image.height);
  Image out = new_width == image.width ? image : stretch_columns(image, new_width);
  return new_height == image.height ? out : stretch_rows(out, new_height);
}

Image crop_centre(const Image& image, int64_t width, int64_t height) {
  require(width > 0 && height > 0 && width <= image.width && height <= image.height, ErrorCode::invalid_argument,
          "[crop] {} x {} pixels out of {} x {}; expected a part of the picture", width, height, image.width,
          image.height);
  const int64_t x = (image.width - width) / 2, y = (image.height - height) / 2;
  Image out{width, height, std::vector<uint8_t>(static_cast<size_t>(width * height * 3))};
  for (int64_t i = 0; i < height; ++i)
    std::memcpy(out.rgb.data() + i * width * 3, image.rgb.data() + ((y + i) * image.width + x) * 3,
                static_cast<size_t>(width * 3));
  return out;
}

}  // namespace wan::io
