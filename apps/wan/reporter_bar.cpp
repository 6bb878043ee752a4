#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "reporter.h"
#include "values.h"

namespace wan::app {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kTick{500};   // so that the time left runs while a long step does
constexpr std::chrono::milliseconds kFrame{100};  // no redraw sooner than this

// One line, redrawn in place; a finished stage leaves its line behind.
class Bar final : public Reporter {
 public:
  explicit Bar(const Environment& environment)
      : color_(environment.color), columns_(std::clamp(environment.columns, 20, 200)), ticker_([this] { tick(); }) {}

  ~Bar() override {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
      erase();
    }
    wake_.notify_all();
    ticker_.join();
  }

  void started(const Request& request, Task task, size_t number, size_t count) override {
    const std::lock_guard lock(mutex_);
    erase();
    fmt::print(stderr, "{}\n", printable(describe(request, task, number, count)));
  }

  void progress(const Progress& p) override {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (active_ && p.stage != last_.stage) leave_line();
    if (!active_) stage_start_ = now;
    const bool final = p.total > 0 && p.done >= p.total;
    last_ = p;
    last_at_ = now;
    active_ = true;
    if (final || now - drawn_at_ >= kFrame) draw(now);
  }

  void note(const std::string& text) override {
    const std::lock_guard lock(mutex_);
    erase();
    fmt::print(stderr, "note: {}\n", printable(text));
    if (active_) draw(Clock::now());
  }

  void finished(const Result& result) override {
    const std::lock_guard lock(mutex_);
    if (active_) leave_line();
    fmt::print(stderr, "{}\n", printable(describe(result)));
  }

  void failed(ErrorCode, const std::string&) override {
    const std::lock_guard lock(mutex_);
    if (active_) leave_line();
  }

 private:
  void tick() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kTick, [this] { return closing_; }))
      if (active_) draw(Clock::now());
  }

  void erase() {
    if (drawn_) fmt::print(stderr, "\r\x1b[K");
    drawn_ = false;
    std::fflush(stderr);
  }

  // Replaces the bar by what the stage took.
  void leave_line() {
    erase();
    const double seconds = std::chrono::duration<double>(Clock::now() - stage_start_).count();
    const auto numbers = last_.total > 1 ? fmt::format("{}/{} ", last_.done, last_.total) : std::string();
    fmt::print(stderr, "{:<7} {}in {:.1f} s\n", to_string(last_.stage), numbers, seconds);
    active_ = false;
  }

  void draw(Clock::time_point now) {
    const double since = std::chrono::duration<double>(now - last_at_).count();
    const double left = last_.seconds_left < 0 ? -1 : std::max(0.0, last_.seconds_left - since);
    std::string head = fmt::format("{:<7}", to_string(last_.stage));
    if (!last_.expert.empty()) head += fmt::format(" {:<5}", last_.expert);
    const std::string tail = counters(last_, left);

    const int room = columns_ - 1 - static_cast<int>(head.size() + tail.size()) - 4;
    std::string middle = " ";
    if (room >= 5 && last_.total > 0) {
      const int width = std::min(room, 40);
      const int filled = static_cast<int>(width * std::clamp(last_.done, int64_t{0}, last_.total) / last_.total);
      middle = fmt::format(" [{}{:#<{}}{}{:-<{}}] ", color_ ? "\x1b[32m" : "", "", filled, color_ ? "\x1b[0m" : "", "",
                           width - filled);
    }
    // A line longer than the terminal would wrap and could not be erased.
    std::string plain_tail = tail;
    if (middle.size() == 1)
      plain_tail.resize(std::min<size_t>(tail.size(), std::max(0, columns_ - 2 - static_cast<int>(head.size()))));
    fmt::print(stderr, "\r\x1b[K{}{}{}{}{}", color_ ? "\x1b[1m" : "", head, color_ ? "\x1b[0m" : "", middle,
               plain_tail);
    std::fflush(stderr);
    drawn_ = true;
    drawn_at_ = now;
  }

  const bool color_;
  const int columns_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool closing_ = false;
  bool active_ = false;  // a stage is under way
  bool drawn_ = false;   // and its line is on the terminal
  Progress last_;
  Clock::time_point last_at_{}, stage_start_{}, drawn_at_{};
  std::thread ticker_;  // last: it uses all of the above
};

}  // namespace

std::unique_ptr<Reporter> make_bar(const Environment& environment) { return std::make_unique<Bar>(environment); }

}  // namespace wan::app
