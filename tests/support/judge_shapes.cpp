#include "support/judge_shapes.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

namespace wan::test {
namespace {

/// Whether (x, y) is inside the outline r(turn) = radii, whose corners are a turn / count apart.
bool in_corners(double x, double y, int count, double outer, double inner) {
  const double sector = 2 * std::numbers::pi / count;
  const double turn = std::atan2(x, -y) / sector, distance = std::hypot(x, y);
  const double whole = std::floor(turn);
  const bool even = std::fmod(std::abs(whole), 2) == 0;
  const double first = even ? outer : inner, second = even ? inner : outer;
  // The edge between two neighbouring corners, in polar form.
  const double a = (turn - whole) * sector, b = sector - a;
  return distance * (first * std::sin(a) + second * std::sin(b)) < first * second * std::sin(sector);
}

bool inside(const std::string& shape, double x, double y) {
  const double r = std::hypot(x, y);
  if (shape == "ball") return r < 1;
  if (shape == "ring") return r < 1.03 && r > 0.49;
  if (shape == "square") return std::max(std::abs(x), std::abs(y)) < 0.8;
  if (shape == "triangle") return in_corners(x, y, 3, 1, 1);
  if (shape == "star") return in_corners(x, y, 10, 1.15, 0.48);
  const double far = std::max(std::abs(x), std::abs(y)), near = std::min(std::abs(x), std::abs(y));
  return far < 1.02 && near < 0.34;  // cross
}

}  // namespace

Place place_of(const Map& alpha) {
  Place p;
  for (int y = 0; y < alpha.height; ++y)
    for (int x = 0; x < alpha.width; ++x) {
      p.area += alpha(x, y);
      p.x += alpha(x, y) * x;
      p.y += alpha(x, y) * y;
    }
  return {p.area, p.x / p.area, p.y / p.area};
}

Features moments(const Map& alpha) {
  const Place p = place_of(alpha);
  double spread = 0, hollow = 0;
  std::array<std::complex<double>, 3> folds;
  for (int y = 0; y < alpha.height; ++y)
    for (int x = 0; x < alpha.width; ++x) {
      const double share = alpha(x, y) / p.area;
      if (share == 0) continue;
      const std::complex<double> z = std::complex(x - p.x, y - p.y) / std::sqrt(p.area);
      spread += share * std::norm(z);
      if (std::abs(z) < 0.2) hollow += share;
      auto power = z * z;
      for (auto& fold : folds) fold += share * (power *= z);
    }
  return {spread * 8, std::abs(folds[0]) / 0.067, std::abs(folds[1]) / 0.02, std::abs(folds[2]) / 0.038, hollow * 4};
}

const std::map<std::string, Features>& reference_shapes() {
  static const auto all = [] {
    std::map<std::string, Features> out;
    for (const char* shape : {"ball", "ring", "square", "triangle", "star", "cross"}) {
      Map mask(261, 261);
      for (int y = 0; y < mask.height; ++y)
        for (int x = 0; x < mask.width; ++x) mask(x, y) = inside(shape, (x - 130) / 100.0, (y - 130) / 100.0);
      out[shape] = moments(mask);
    }
    return out;
  }();
  return all;
}

}  // namespace wan::test
