#pragma once
#include <chrono>

#include "wan/wan.h"

namespace wan::engine {

/// Turns "this many units of the stage are done" into Progress with a rate and the time left.
class Reporter {
 public:
  explicit Reporter(const Hooks& hooks) : hooks_(&hooks) {}

  /// `before`: units that were done earlier.
  void begin(Stage stage, int64_t total, int64_t before = 0) {
    stage_start_ = Clock::now();
    before_ = before;
    progress_ = {};
    progress_.done = before;
    progress_.stage = stage;
    progress_.total = total;
    send();
  }
  void done(int64_t units, const std::string& expert = {}) {
    progress_.done = units;
    progress_.expert = expert;
    if (units > before_) {
      progress_.seconds_per_unit = seconds_since(stage_start_) / static_cast<double>(units - before_);
      progress_.seconds_left = progress_.seconds_per_unit * static_cast<double>(progress_.total - units);
    }
    send();
  }
  void note(const std::string& sentence) const {
    if (hooks_->on_note) hooks_->on_note(sentence);
  }
  double elapsed() const { return seconds_since(start_); }

 private:
  using Clock = std::chrono::steady_clock;
  static double seconds_since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }
  void send() {
    progress_.elapsed = elapsed();
    if (hooks_->on_progress) hooks_->on_progress(progress_);
  }

  const Hooks* hooks_;
  Clock::time_point start_ = Clock::now(), stage_start_ = start_;
  int64_t before_ = 0;
  Progress progress_;
};

}  // namespace wan::engine
