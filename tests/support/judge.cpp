#include "support/judge.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <map>
#include <numbers>
#include <numeric>

#include "support/judge_shapes.h"

namespace wan::test {
namespace {

using Colour = std::array<double, 3>;  // 0..1

constexpr double different = 0.16;  // distance in RGB from which a pixel is not background
constexpr double smallest = 0.003;  // least area of an object, as a share of the frame

const std::map<std::string, Colour> colours = {
    {"red", {220, 40, 40}},     {"orange", {245, 140, 30}}, {"yellow", {245, 225, 60}}, {"green", {45, 165, 70}},
    {"cyan", {60, 210, 220}},   {"blue", {45, 85, 225}},    {"purple", {140, 60, 190}}, {"pink", {245, 135, 185}},
    {"white", {245, 245, 245}}, {"black", {20, 20, 20}}};

template <size_t N>
double distance(const std::array<double, N>& a, const std::array<double, N>& b) {
  double sum = 0;
  for (size_t i = 0; i < N; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The middle one of some arrays, number by number.
template <class Range, class Get>
auto median_of(const Range& range, Get get) {
  decltype(get(*range.begin())) out{};
  for (size_t i = 0; i < out.size(); ++i) {
    std::vector<double> values;
    for (const auto& one : range) values.push_back(get(one)[i]);
    out[i] = median(values);
  }
  return out;
}

template <class Named, class Value>
std::string nearest(const Named& named, const Value& value) {
  return std::min_element(
             named.begin(), named.end(),
             [&](const auto& a, const auto& b) { return distance(a.second, value) < distance(b.second, value); })
      ->first;
}

// ---- Regions ----

struct Region {
  double area = 0, x = 0, y = 0;  // shares of the frame
  Colour colour{};
  Features features{};
};

Colour pixel(const std::vector<uint8_t>& rgb, size_t i) {
  return {rgb[3 * i] / 255.0, rgb[3 * i + 1] / 255.0, rgb[3 * i + 2] / 255.0};
}

/// The middle colour of each row over time and width: things that move do not count.
std::vector<Colour> background_of(const Clip& clip) {
  std::vector<Colour> rows;
  for (int y = 0; y < clip.height; ++y) {
    std::vector<Colour> all;
    for (const auto& rgb : clip.frames)
      for (int x = 0; x < clip.width; ++x) all.push_back(pixel(rgb, static_cast<size_t>(y) * clip.width + x));
    rows.push_back(median_of(all, [](const Colour& c) { return c; }));
  }
  return rows;
}

/// Two pixels more (or fewer, with `to` = 0) all around.
Map grow(Map mask, double to) {
  for (int round = 0; round < 2; ++round) {
    const Map old = mask;
    for (int y = 0; y < mask.height; ++y)
      for (int x = 0; x < mask.width; ++x)
        for (const auto& [dx, dy] : {std::pair(1, 0), {-1, 0}, {0, 1}, {0, -1}})
          if (const double next = old.holds(x + dx, y + dy) ? old(x + dx, y + dy) : 0; next == to) mask(x, y) = to;
  }
  return mask;
}

Region measure(const std::vector<uint8_t>& rgb, const Map& difference, const Map& mask) {
  Map core = grow(mask, 0);
  if (std::accumulate(core.at.begin(), core.at.end(), 0.0) < 8) core = mask;
  std::vector<Colour> inner;
  std::vector<double> contrasts;
  for (size_t i = 0; i < core.at.size(); ++i)
    if (core.at[i] != 0) {
      inner.push_back(pixel(rgb, i));
      contrasts.push_back(difference.at[i]);
    }
  const double contrast = median(contrasts);
  Map alpha = grow(mask, 1);  // with its soft edge
  for (size_t i = 0; i < alpha.at.size(); ++i) alpha.at[i] *= std::min(difference.at[i] / contrast, 1.0);
  const Place p = place_of(alpha);
  return {p.area / static_cast<double>(alpha.at.size()), (p.x + 0.5) / alpha.width, (p.y + 0.5) / alpha.height,
          median_of(inner, [](const Colour& c) { return c; }), moments(alpha)};
}

/// The connected regions of a frame that differ from the background, largest first.
std::vector<Region> regions_of(const Clip& clip, const std::vector<uint8_t>& rgb, const std::vector<Colour>& rows) {
  Map difference(clip.width, clip.height);
  for (size_t i = 0; i < difference.at.size(); ++i) difference.at[i] = distance(pixel(rgb, i), rows[i / clip.width]);
  std::vector<Region> found;
  Map visited(clip.width, clip.height);
  for (int top = 0; top < clip.height; ++top)
    for (int left = 0; left < clip.width; ++left) {
      if (visited(left, top) != 0 || difference(left, top) <= different) continue;
      Map mask(clip.width, clip.height);
      std::vector<std::pair<int, int>> queue = {{left, top}};
      visited(left, top) = mask(left, top) = 1;
      for (size_t i = 0; i < queue.size(); ++i)
        for (const auto& [dx, dy] : {std::pair(1, 0), {-1, 0}, {0, 1}, {0, -1}}) {
          const int x = queue[i].first + dx, y = queue[i].second + dy;
          if (!difference.holds(x, y) || visited(x, y) != 0 || difference(x, y) <= different) continue;
          visited(x, y) = mask(x, y) = 1;
          queue.emplace_back(x, y);
        }
      if (static_cast<double>(queue.size()) >= smallest * static_cast<double>(mask.at.size()))
        found.push_back(measure(rgb, difference, mask));
    }
  std::sort(found.begin(), found.end(), [](const Region& a, const Region& b) { return a.area > b.area; });
  return found;
}

// ---- Motion ----

/// The largest region of the middle frame, followed to both ends by place and colour.
std::vector<Region> track_of(const std::vector<std::vector<Region>>& frames) {
  const auto middle = static_cast<int>(frames.size() / 2), last = static_cast<int>(frames.size()) - 1;
  int start = -1;
  for (int i = 0; i <= last; ++i)
    if (!frames[i].empty() && (start < 0 || std::abs(i - middle) < std::abs(start - middle))) start = i;
  if (start < 0) return {};
  std::vector<Region> track = {frames[start].front()};
  const auto next = [&](const Region& from, const std::vector<Region>& choice) {
    const auto cost = [&](const Region& r) {
      return std::hypot(r.x - from.x, r.y - from.y) + distance(r.colour, from.colour) - r.area;
    };
    return *std::min_element(choice.begin(), choice.end(),
                             [&](const Region& a, const Region& b) { return cost(a) < cost(b); });
  };
  for (int i = start + 1; i <= last; ++i)
    if (!frames[i].empty()) track.push_back(next(track.back(), frames[i]));
  for (int i = start - 1; i >= 0; --i)
    if (!frames[i].empty()) track.insert(track.begin(), next(track.front(), frames[i]));
  return track;
}

double mean_of_three(const std::vector<double>& v, size_t first) {
  return (v[first] + v[first + 1] + v[first + 2]) / 3;
}

double travelled(const std::vector<double>& v) { return *std::ranges::max_element(v) - *std::ranges::min_element(v); }

/// Reversals of at least a tenth of the frame.
int turns_of(const std::vector<double>& v) {
  int turns = 0, rising = 0;
  double low = v.front(), high = v.front();
  for (const double now : v) {
    low = std::min(low, now);
    high = std::max(high, now);
    if (rising >= 0 && now < high - 0.1) {
      turns += rising > 0;
      rising = -1;
      low = now;
    } else if (rising <= 0 && now > low + 0.1) {
      turns += rising < 0;
      rising = 1;
      high = now;
    }
  }
  return turns;
}

/// How far round its own middle a path goes, in radians.
double angle_of(const std::vector<double>& x, const std::vector<double>& y) {
  const auto middle = [](const std::vector<double>& v) {
    return (*std::ranges::max_element(v) + *std::ranges::min_element(v)) / 2;
  };
  double angle = 0;
  for (size_t i = 1; i < x.size(); ++i) {
    const std::complex<double> a(x[i - 1] - middle(x), y[i - 1] - middle(y)), b(x[i] - middle(x), y[i] - middle(y));
    angle += std::arg(b * std::conj(a));
  }
  return std::abs(angle);
}

std::string motion_of(const std::vector<Region>& track) {
  if (track.size() < 8) return "none";
  std::vector<double> x, y, area;
  for (const Region& r : track) {
    x.push_back(r.x);
    y.push_back(r.y);
    area.push_back(r.area);
  }
  const size_t end = track.size() - 3;
  const double dx = mean_of_three(x, end) - mean_of_three(x, 0), dy = mean_of_three(y, end) - mean_of_three(y, 0);
  const double growth = mean_of_three(area, end) / mean_of_three(area, 0);
  const double wide = travelled(x), tall = travelled(y);
  if (std::max(wide, tall) < 0.2) return growth > 1.8 ? "grow" : growth < 1 / 1.8 ? "shrink" : "still";
  if (std::min(wide, tall) > 0.22 && angle_of(x, y) > 1.5 * std::numbers::pi) return "circle";
  if (turns_of(y) >= 2 && wide < 0.2 && tall > 0.22) return "bounce";
  const auto straight = [](double along, double aside, double path) {
    return along > 0.25 && std::abs(aside) < 0.5 * along && path < 1.3 * along + 0.05;
  };
  if (straight(dx, dy, wide)) return "right";
  if (straight(-dx, dy, wide)) return "left";
  if (straight(dy, dx, tall)) return "down";
  if (straight(-dy, dx, tall)) return "up";
  return "other";
}

}  // namespace

Seen judge(const Clip& clip) {
  const std::vector<Colour> rows = background_of(clip);
  std::vector<std::vector<Region>> frames;
  std::vector<double> counts;
  for (const auto& rgb : clip.frames) {
    frames.push_back(regions_of(clip, rgb, rows));
    const auto& all = frames.back();
    counts.push_back(static_cast<double>(
        std::ranges::count_if(all, [&](const Region& r) { return r.area > 0.15 * all.front().area; })));
  }
  std::vector<Region> track = track_of(frames);
  if (track.empty()) return {};
  Seen seen;
  seen.objects = static_cast<int>(median(counts));
  seen.motion = motion_of(track);
  seen.colour = nearest(colours, median_of(track, [](const Region& r) {
                          Colour c = r.colour;
                          for (double& v : c) v *= 255;
                          return c;
                        }));
  // The shape is clearest where it is large.
  std::ranges::sort(track, [](const Region& a, const Region& b) { return a.area > b.area; });
  track.resize(std::max<size_t>(1, track.size() / 2));
  seen.shape = nearest(reference_shapes(), median_of(track, [](const Region& r) { return r.features; }));
  return seen;
}

double psnr(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  if (a.size() != b.size() || a.empty()) return 0;
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return 10 * std::log10(255 * 255 / (sum / static_cast<double>(a.size())));
}

std::string to_string(const Seen& seen) {
  return std::to_string(seen.objects) + " object(s): " + seen.colour + " " + seen.shape + ", " + seen.motion;
}

}  // namespace wan::test
