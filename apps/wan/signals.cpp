#include "signals.h"

#include <unistd.h>
#include <csignal>

#include <array>
#include <cerrno>
#include <string_view>

namespace wan::app {
namespace {

// A signal handler reaches nothing but globals; these are the program's only ones.
std::atomic<int> received_signal{0};
std::atomic<bool> stop_requested{false};
std::atomic<const char*> announcement{""};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
std::array<struct sigaction, kSignals.size()> previous{};

void on_signal(int signal) {
  const int saved_errno = errno;
  if (received_signal.exchange(signal) != 0) _exit(128 + signal);
  stop_requested = true;
  const std::string_view what = announcement.load();
  for (const std::string_view text :
       {std::string_view("\nwan: "), what, std::string_view("; a second signal stops at once\n")}) {
    [[maybe_unused]] const auto written = write(STDERR_FILENO, text.data(), text.size());
  }
  errno = saved_errno;
}

}  // namespace

StopSignals::StopSignals(const char* what) {
  announcement = what;
  received_signal = 0;
  stop_requested = false;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(kSignals[i], nullptr, &previous[i]);
    if (previous[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

StopSignals::~StopSignals() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous[i], nullptr);
}

const std::atomic<bool>* StopSignals::flag() const noexcept { return &stop_requested; }
int StopSignals::received() const noexcept { return received_signal; }

}  // namespace wan::app
