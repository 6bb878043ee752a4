#pragma once
#include <atomic>

namespace wan::app {

/// While it lives, the first SIGINT, SIGTERM or SIGHUP sets the flag that generate() watches; a second signal ends the
/// process at once with 128 + its number. Signals that the program was started with ignored (nohup) stay ignored.
class StopSignals {
 public:
  /// `what` is told at the first signal, such as "stopping at the end of this step"; it must live as long.
  explicit StopSignals(const char* what = "stopping at the end of this step");
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  const std::atomic<bool>* flag() const noexcept;
  /// The signal that came; 0 if none did.
  int received() const noexcept;
};

}  // namespace wan::app
