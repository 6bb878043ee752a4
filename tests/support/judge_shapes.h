#pragma once
#include <array>
#include <map>
#include <string>
#include <vector>

/// What the judge knows of shapes.
namespace wan::test {

/// A picture of one number a pixel.
struct Map {
  Map(int w, int h) : width(w), height(h), at(static_cast<size_t>(w) * h) {}
  double& operator()(int x, int y) { return at[static_cast<size_t>(y) * width + x]; }
  double operator()(int x, int y) const { return at[static_cast<size_t>(y) * width + x]; }
  bool holds(int x, int y) const { return x >= 0 && y >= 0 && x < width && y < height; }

  int width, height;
  std::vector<double> at;
};

struct Place {
  double area = 0, x = 0, y = 0;  // pixels
};

/// Area and centre of a soft mask.
Place place_of(const Map& alpha);

/// Features of a soft mask that moving, scaling and turning it do not change: spread, 3-, 4- and 5-fold symmetry, and
/// how much lies in the middle; weighted so that shapes differ by about as much in each.
using Features = std::array<double, 5>;
Features moments(const Map& alpha);

/// The features of every shape that the demo model knows.
const std::map<std::string, Features>& reference_shapes();

}  // namespace wan::test
