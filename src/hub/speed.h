#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <utility>

namespace wan::hub {

/// Bytes per second over the last seconds.
class Speed {
 public:
  /// `bytes` so far; gives 0 while nothing is known.
  double add(int64_t bytes) {
    const auto now = Clock::now();
    if (samples_.empty() || bytes < samples_.back().second) samples_.clear();
    samples_.emplace_back(now, bytes);
    while (samples_.size() > 2 && now - samples_[1].first > std::chrono::seconds(10)) samples_.pop_front();
    const double seconds = std::chrono::duration<double>(now - samples_.front().first).count();
    return seconds < 0.5 ? 0 : static_cast<double>(bytes - samples_.front().second) / seconds;
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::deque<std::pair<Clock::time_point, int64_t>> samples_;
};

}  // namespace wan::hub
