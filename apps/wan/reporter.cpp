#include "reporter.h"

#include <fmt/format.h>

#include "values.h"

namespace wan::app {
namespace {

class Silent final : public Reporter {
 public:
  void started(const Request&, Task, size_t, size_t) override {}
  void progress(const Progress&) override {}
  void note(const std::string& text) override { fmt::print(stderr, "wan: {}\n", printable(text)); }
  void finished(const Result&) override {}
  void failed(ErrorCode, const std::string&) override {}
};

const char* unit(Stage stage) {
  switch (stage) {
    case Stage::sample: return "step";
    case Stage::image:
    case Stage::decode:
    case Stage::save: return "frame";
    default: return nullptr;
  }
}

std::string rate(double seconds) {
  return seconds < 10 ? fmt::format("{:.2f} s", seconds) : fmt::format("{:.1f} s", seconds);
}

}  // namespace

std::unique_ptr<Reporter> make_silent() { return std::make_unique<Silent>(); }

std::unique_ptr<Reporter> make_reporter(const Options& options) {
  if (options.generate.json) return make_json_lines();
  if (options.generate.quiet) return make_silent();
  if (options.environment.stderr_is_terminal) return make_bar(options.environment);
  return make_log_lines();
}

std::string describe(const Request& r, Task task, size_t number, size_t count) {
  std::string text = count > 1 ? fmt::format("video {} of {}: ", number, count) : "";
  if (!r.latents.empty()) return text + fmt::format("decoding {}", printable(r.latents.string()));
  text += to_string(task);
  if (r.width && r.height) text += fmt::format(", {}x{}", *r.width, *r.height);
  if (r.frames) text += fmt::format(", {} frames", *r.frames);
  if (r.steps) text += fmt::format(", {} steps", *r.steps);
  if (r.solver) text += fmt::format(" of {}", to_string(*r.solver));
  if (r.seed >= 0 && r.noise.empty()) text += fmt::format(", seed {}", r.seed);
  return text;
}

std::string describe(const Result& r) {
  return fmt::format("{}x{}, {} frames in {}", r.width, r.height, r.frames, duration(r.seconds));
}

std::string counters(const Progress& p, double seconds_left) {
  std::string text = p.total > 0 ? fmt::format("{}/{}", p.done, p.total) : "";
  const auto add = [&](const std::string& part) {
    if (!text.empty()) text += "  ";
    text += part;
  };
  if (p.seconds_per_unit > 0 && unit(p.stage) != nullptr)
    add(fmt::format("{}/{}", rate(p.seconds_per_unit), unit(p.stage)));
  if (seconds_left >= 0 && p.done < p.total) add(duration(seconds_left) + " left");
  return text;
}

}  // namespace wan::app
