#include <fmt/format.h>

#include "reporter.h"
#include "values.h"

namespace wan::app {
namespace {

// One line per denoising step, and at most a few for every other stage.
class LogLines final : public Reporter {
 public:
  void started(const Request& request, Task task, size_t number, size_t count) override {
    print(describe(request, task, number, count));
    stage_ = {};
  }

  void progress(const Progress& p) override {
    const int64_t quarter = p.total > 0 ? p.done * 4 / p.total : 0;
    const Mark mark{true, p.stage, p.stage == Stage::sample ? p.done : quarter};
    if (mark == stage_) return;
    stage_ = mark;
    std::string line = fmt::format("[{}] {}", duration(p.elapsed), to_string(p.stage));
    if (const auto numbers = counters(p, p.seconds_left); !numbers.empty()) line += " " + numbers;
    if (!p.expert.empty()) line += fmt::format("  ({})", p.expert == "model" ? "model" : p.expert + " noise");
    print(line);
  }

  void note(const std::string& text) override { print("note: " + text); }
  void finished(const Result& result) override { print(describe(result)); }
  void failed(ErrorCode, const std::string&) override {}

 private:
  struct Mark {
    bool set = false;
    Stage stage = Stage::load;
    int64_t part = 0;
    bool operator==(const Mark&) const = default;
  };

  static void print(const std::string& line) {
    fmt::print(stderr, "{}\n", printable(line));
    std::fflush(stderr);
  }

  Mark stage_;
};

}  // namespace

std::unique_ptr<Reporter> make_log_lines() { return std::make_unique<LogLines>(); }

}  // namespace wan::app
