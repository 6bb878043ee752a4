#include "download_display.h"

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
std::string bytes(int64_t n) { return bytes(n, n); }

std::string describe(const DownloadPlan& p) {
  std::string text = fmt::format("{} at {}: {} files, {}, into {}", p.repo, p.commit.substr(0, 12), p.files,
                                 bytes(p.total_bytes), p.folder.string());
  if (p.present_bytes > 0) text += fmt::format("; {} of it are there", bytes(p.present_bytes));
  return text;
}

std::string describe(const DownloadResult& r) {
  if (r.commit.empty() || r.files == 0) return fmt::format("{} is there", r.repo);
  if (r.fetched_bytes == 0)
    return fmt::format("{}: all {} files were there, {}", r.repo, r.files, bytes(r.total_bytes));
  return fmt::format("{}: {} fetched and verified in {}; {} files, {}", r.repo, bytes(r.fetched_bytes),
                     duration(r.seconds), r.files, bytes(r.total_bytes));
}

std::string counters(const DownloadProgress& p) {
  std::string text = fmt::format("{}/{}", bytes(p.done_bytes, p.total_bytes), bytes(p.total_bytes));
  if (p.done_bytes < p.total_bytes) {
    if (p.bytes_per_second > 0) text += fmt::format("  {}/s", bytes(static_cast<int64_t>(p.bytes_per_second)));
    if (p.seconds_left >= 0) text += fmt::format("  {} left", duration(p.seconds_left));
  } else if (p.done_files < p.total_files) {
    text += "  verifying";
  }
  return text + fmt::format("  {}/{} files", p.done_files, p.total_files);
}

class Silent : public DownloadDisplay {
 public:
  void planned(const DownloadPlan&) override {}
  void progress(const DownloadProgress&) override {}
  void file(const std::string&) override {}
  void note(const std::string& text) override { print("note: " + text); }
  void finished(const DownloadResult&) override {}
  void failed(ErrorCode, const std::string&) override {}

 protected:
  static void print(const std::string& line) {
    fmt::print(stderr, "{}\n", printable(line));
    std::fflush(stderr);
  }
};

// A line for each finished file, and one now and then.
class Lines final : public Silent {
 public:
  void planned(const DownloadPlan& plan) override { print(describe(plan)); }
  void progress(const DownloadProgress& p) override {
    if (Clock::now() - last_ < kBetweenLines || p.done_files == p.total_files) return;
    last_ = Clock::now();
    print(counters(p));
  }
  void file(const std::string& path) override { print(path + ": complete"); }
  void finished(const DownloadResult& result) override { print(describe(result)); }

 private:
  Clock::time_point last_ = Clock::now();
};

// One line, redrawn in place.
class Bar final : public DownloadDisplay {
 public:
  explicit Bar(const Environment& environment)
      : color_(environment.color), columns_(std::clamp(environment.columns, 20, 200)) {}
  ~Bar() override { erase(); }

  void planned(const DownloadPlan& plan) override { line(describe(plan)); }
  void file(const std::string&) override {}
  void note(const std::string& text) override { line("note: " + text); }
  void finished(const DownloadResult& result) override { line(describe(result)); }
  void failed(ErrorCode, const std::string&) override {
    const std::lock_guard lock(mutex_);
    erase();
  }

  void progress(const DownloadProgress& p) override {
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
  void line(const std::string& text) {
    const std::lock_guard lock(mutex_);
    erase();
    fmt::print(stderr, "{}\n", printable(text));
  }
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

std::unique_ptr<DownloadDisplay> make_download_display(const Options& options) {
  if (options.download.json) return make_download_json();
  if (options.download.quiet) return std::make_unique<Silent>();
  if (options.environment.stderr_is_terminal) return std::make_unique<Bar>(options.environment);
  return std::make_unique<Lines>();
}

}  // namespace wan::app
