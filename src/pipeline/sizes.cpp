#include "pipeline/sizes.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace wan::pipeline {
namespace {

/// Python's a // b for positive floats: derived from the exact remainder, so it can differ from floor(a / b).
double floor_divide(double a, double b) {
  const double quotient = (a - std::fmod(a, b)) / b;
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

double round_down(double value, int64_t step) {
  const auto s = static_cast<double>(step);
  return floor_divide(value, s) * s;
}

void check_image(PixelSize image) {
  require(image.width > 0 && image.height > 0, ErrorCode::invalid_argument,
          "[size] the image is {} x {} pixels; expected at least one", image.width, image.height);
}

void check_result(double width, double height, PixelSize image, int64_t area) {
  require(width >= 1 && height >= 1, ErrorCode::invalid_argument,
          "[size] an image of {} x {} pixels does not fit a video of {} pixels: one side would vanish; crop the image "
          "or choose a larger size",
          image.width, image.height, area);
}

/// How many times one ratio is the other, at least 1.
double mismatch(double a, double b) { return std::max(a / b, b / a); }

}  // namespace

PixelSize area_size(PixelSize image, int64_t max_area, PixelSize stride, PixelSize patch) {
  check_image(image);
  const double aspect = static_cast<double>(image.height) / static_cast<double>(image.width);
  const auto latents = [](double pixels, int64_t vae, int64_t token) {
    return round_down(floor_divide(pixels, static_cast<double>(vae)), token);
  };
  const auto area = static_cast<double>(max_area);
  const double height = latents(std::sqrt(area * aspect), stride.height, patch.height);
  const double width = latents(std::sqrt(area / aspect), stride.width, patch.width);
  check_result(width, height, image, max_area);
  return {static_cast<int64_t>(width) * stride.width, static_cast<int64_t>(height) * stride.height};
}

PixelSize best_output_size(PixelSize image, PixelSize step, int64_t area) {
  check_image(image);
  const double ratio = static_cast<double>(image.width) / static_cast<double>(image.height);
  const auto pixels = static_cast<double>(area);
  // pow, not sqrt: Python's ** 0.5 may differ from the square root in the last bit.
  const double width = std::pow(pixels * ratio, 0.5);
  const double height = pixels / width;

  const double width1 = round_down(width, step.width), height2 = round_down(height, step.height);
  check_result(width1, height2, image, area);
  const double height1 = round_down(pixels / width1, step.height), width2 = round_down(pixels / height2, step.width);
  check_result(width2, height1, image, area);

  if (mismatch(ratio, width1 / height1) < mismatch(ratio, width2 / height2))
    return {static_cast<int64_t>(width1), static_cast<int64_t>(height1)};
  return {static_cast<int64_t>(width2), static_cast<int64_t>(height2)};
}

PixelSize cover_size(PixelSize image, PixelSize target) {
  check_image(image);
  const auto width = static_cast<double>(image.width), height = static_cast<double>(image.height);
  const double scale = std::max(static_cast<double>(target.width) / width, static_cast<double>(target.height) / height);
  return {std::llrint(width * scale), std::llrint(height * scale)};
}

}  // namespace wan::pipeline
