#include "transfer_display.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>

#include "values.h"

namespace wan::app {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kBetweenLines{10};

// "12.34 GB", in the unit that fits `of`.
std::string bytes(int64_t n, int64_t of) {
  const auto value = static_cast<double>(n);
  if (of < 1'000'000) return fmt::format("{:.1f} kB", value / 1e3);
  if (of < 1'000'000'000) return fmt::format("{:.1f} MB", value / 1e6);
  return fmt::format("{:.2f} GB", value / 1e9);
}

std::string counters(const TransferCounts& p) {
  std::string text = fmt::format("{}/{}", bytes(p.done_bytes, p.total_bytes), display_bytes(p.total_bytes));
  if (p.done_bytes < p.total_bytes) {
    if (p.bytes_per_second > 0) text += fmt::format("  {}/s", display_bytes(static_cast<int64_t>(p.bytes_per_second)));
    if (p.seconds_left >= 0) text += fmt::format("  {} left", duration(p.seconds_left));
  } else if (p.done_files < p.total_files) {
    text += "  verifying";
  }
  return text + fmt::format("  {}/{} files", p.done_files, p.total_files);
}

class Silent : public TransferDisplay {
 public:
  void line(const std::string&) override {}
  void progress(const TransferCounts&) override {}
  void file(const std::string&) override {}
  void note(const std::string& text) override { print("note: " + text); }
  void clear() override {}

 protected:
  static void print(const std::string& line) {
    fmt::print(stderr, "{}\n", printable(line));
    std::fflush(stderr);
  }
};

// A line for each finished file, and one now and then.
class Lines final : public Silent {
 public:
  void line(const std::string& text) override { print(text); }
  void progress(const TransferCounts& p) override {
    if (Clock::now() - last_ < kBetweenLines || p.done_files == p.total_files) return;
    last_ = Clock::now();
    print(counters(p));
  }
  void file(const std::string& text) override { print(text); }

 private:
  Clock::time_point last_ = Clock::now();
};

// One line, redrawn in place.
class Bar final : public TransferDisplay {
 public:
  explicit Bar(const Environment& environment)
      : color_(environment.color), columns_(std::clamp(environment.columns, 20, 200)) {}
  ~Bar() override { erase(); }

  void line(const std::string& text) override {
    const std::lock_guard lock(mutex_);
    erase();
    fmt::print(stderr, "{}\n", printable(text));
  }
  void file(const std::string&) override {}
  void note(const std::string& text) override { line("note: " + text); }
  void clear() override {
    const std::lock_guard lock(mutex_);
    erase();
  }

  void progress(const TransferCounts& p) override {
    const std::lock_guard lock(mutex_);
    std::string tail = counters(p);
    const int room = columns_ - 4 - static_cast<int>(tail.size());
    std::string bar;
    if (room >= 5) {
      const int width = std::min(room, 40);
      const double share =
          p.total_bytes > 0 ? static_cast<double>(p.done_bytes) / static_cast<double>(p.total_bytes) : 1;
      const int filled = static_cast<int>(width * std::clamp(share, 0.0, 1.0));
      bar = fmt::format("[{}{:#<{}}{}{:-<{}}] ", color_ ? "\x1b[32m" : "", "", filled, color_ ? "\x1b[0m" : "", "",
                        width - filled);
    } else {
      tail.resize(std::min<size_t>(tail.size(), static_cast<size_t>(columns_ - 1)));  // a longer line would wrap
    }
    fmt::print(stderr, "\r\x1b[K{}{}", bar, tail);
    std::fflush(stderr);
    drawn_ = true;
  }

 private:
  void erase() {
    if (drawn_) fmt::print(stderr, "\r\x1b[K");
    drawn_ = false;
    std::fflush(stderr);
  }

  const bool color_;
  const int columns_;
  std::mutex mutex_;
  bool drawn_ = false;
};

}  // namespace

std::string display_bytes(int64_t n) { return bytes(n, n); }

std::unique_ptr<TransferDisplay> make_transfer_display(const Environment& environment, bool quiet) {
  if (quiet) return std::make_unique<Silent>();
  if (environment.stderr_is_terminal) return std::make_unique<Bar>(environment);
  return std::make_unique<Lines>();
}

}  // namespace wan::app
