// The judge on clips that this file draws, by formulas other than the judge's own.
#include "support/judge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <numbers>

namespace wan::test {
namespace {

using Rgb = std::array<double, 3>;

/// Signed distance to a shape of radius r, negative inside.
double outline(const std::string& shape, double x, double y, double r) {
  const double d = std::hypot(x, y);
  if (shape == "ball") return d - r;
  if (shape == "ring") return std::abs(d - 0.76 * r) - 0.27 * r;
  if (shape == "square") return std::max(std::abs(x), std::abs(y)) - 0.88 * r;
  if (shape == "triangle") return std::max(y, std::abs(x) * std::numbers::sqrt3 / 2 - y / 2) - 0.6 * r;
  if (shape == "cross") {
    const double far = std::max(std::abs(x), std::abs(y)), near = std::min(std::abs(x), std::abs(y));
    return std::max(far - 1.02 * r, near - 0.34 * r);
  }
  // A star: fold the plane into half a sector, whose outline is one edge.
  const double sector = 2 * std::numbers::pi / 5, turn = std::atan2(x, -y);
  const double folded = std::abs(turn - sector * std::round(turn / sector));
  const double ex = 0.48 * std::cos(sector / 2) - 1.15, ey = 0.48 * std::sin(sector / 2);
  return ((d * std::cos(folded) - 1.15 * r) * -ey + d * std::sin(folded) * ex) / -std::hypot(ex, ey);
}

struct Object {
  std::string shape = "ball";
  Rgb colour = {220, 40, 40};
  std::function<std::array<double, 3>(double)> at;  // time 0..1 to x, y, radius; in frame widths
};

Clip draw(const std::vector<Object>& objects, const Rgb& background = {125, 125, 125}, int size = 96, int frames = 33) {
  Clip clip{size, size, {}};
  for (int t = 0; t < frames; ++t) {
    std::vector<uint8_t> rgb;
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x) {
        Rgb pixel = background;
        for (double& v : pixel) v *= 1.06 - 0.12 * y / size;  // brighter at the top
        for (const Object& o : objects) {
          const auto [cx, cy, r] = o.at(t / (frames - 1.0));
          const double d = outline(o.shape, (x + 0.5) / size - cx, (y + 0.5) / size - cy, r) * size;
          const double cover = std::clamp(0.5 - d, 0.0, 1.0);
          for (size_t c = 0; c < 3; ++c) pixel[c] += cover * (o.colour[c] - pixel[c]);
        }
        for (const double v : pixel) rgb.push_back(static_cast<uint8_t>(std::lround(std::clamp(v, 0.0, 255.0))));
      }
    clip.frames.push_back(rgb);
  }
  return clip;
}

using Path = std::function<std::array<double, 3>(double)>;
const Path to_the_right = [](double t) { return std::array{0.2 + 0.6 * t, 0.45, 0.15}; };

TEST(Judge, NamesEveryColour) {
  const std::map<std::string, Rgb> colours = {
      {"red", {220, 40, 40}},     {"orange", {245, 140, 30}}, {"yellow", {245, 225, 60}}, {"green", {45, 165, 70}},
      {"cyan", {60, 210, 220}},   {"blue", {45, 85, 225}},    {"purple", {140, 60, 190}}, {"pink", {245, 135, 185}},
      {"white", {245, 245, 245}}, {"black", {20, 20, 20}}};
  for (const auto& [name, rgb] : colours) {
    const Seen seen = judge(draw({{"ball", rgb, to_the_right}}));
    EXPECT_EQ(seen, (Seen{1, name, "ball", "right"})) << to_string(seen);
  }
}

TEST(Judge, NamesEveryShapeAtEverySize) {
  for (const char* shape : {"ball", "ring", "square", "triangle", "star", "cross"})
    for (const double r : {0.11, 0.15, 0.22}) {
      const auto path = [&](double t) { return std::array{0.3 + 0.4 * t, 0.45, r}; };
      const Seen seen = judge(draw({{shape, {245, 140, 30}, path}}, {22, 32, 78}));
      EXPECT_EQ(seen.shape, shape) << r << ": " << to_string(seen);
    }
}

TEST(Judge, NamesEveryMotion) {
  using std::numbers::pi;
  const std::map<std::string, Path> paths = {
      {"right", to_the_right},
      {"left",
       [](double t) {
         return std::array{0.8 - 0.6 * t, 0.6, 0.12};
       }},
      {"down",
       [](double t) {
         return std::array{0.3, 0.2 + 0.6 * t, 0.12};
       }},
      {"up",
       [](double t) {
         return std::array{0.7, 0.8 - 0.6 * t, 0.12};
       }},
      {"bounce",
       [](double t) {
         return std::array{0.5, 0.3 + 0.45 * std::abs(std::sin(2.5 * pi * t)), 0.12};
       }},
      {"circle",
       [](double t) {
         return std::array{0.5 + 0.25 * std::cos(1 + 2 * pi * t), 0.5 + 0.25 * std::sin(1 + 2 * pi * t), 0.12};
       }},
      {"grow",
       [](double t) {
         return std::array{0.5, 0.5, 0.1 + 0.16 * t};
       }},
      {"shrink",
       [](double t) {
         return std::array{0.5, 0.5, 0.26 - 0.16 * t};
       }},
      {"still",
       [](double) {
         return std::array{0.5, 0.5, 0.2};
       }},
      {"other", [](double t) {
         return std::array{0.2 + 0.6 * t, 0.2 + 0.6 * t, 0.12};
       }}};
  for (const auto& [name, path] : paths) {
    const Seen seen = judge(draw({{"square", {45, 85, 225}, path}}, {235, 235, 235}));
    EXPECT_EQ(seen, (Seen{1, "blue", "square", name})) << to_string(seen);
  }
}

TEST(Judge, CountsAndFollowsTheLargest) {
  const auto back = [](double t) { return std::array{0.75 - 0.5 * t, 0.78, 0.11}; };
  const Seen seen = judge(draw({{"ball", {245, 225, 60}, to_the_right}, {"star", {45, 165, 70}, back}}, {18, 18, 22}));
  EXPECT_EQ(seen, (Seen{2, "yellow", "ball", "right"})) << to_string(seen);
}

TEST(Judge, SeesNothingWhereNothingIs) { EXPECT_EQ(judge(draw({})), Seen{}); }

TEST(Judge, Psnr) {
  const std::vector<uint8_t> a(300, 100), b(300, 110);
  EXPECT_NEAR(psnr(a, b), 28.13, 0.01);
  EXPECT_EQ(psnr(a, a), INFINITY);
}

}  // namespace
}  // namespace wan::test
