#pragma once
#include <atomic>
#include <functional>
#include <mutex>
#include <string>

#include "hub/http.h"

namespace wan::hub {

/// How long to go on trying.
struct RetryPolicy {
  int attempts = 6;            ///< in a row without any progress
  double first_wait = 1;       ///< seconds; doubled each time
  double longest_wait = 30;    ///< seconds
  double longest_asked = 300;  ///< seconds that a server may ask us to wait (retry-after)
};

struct Settings {
  std::string endpoint;     ///< without a slash at its end
  std::string token;        ///< for the endpoint's host alone
  int answer_timeout = 10;  ///< seconds
  int stall_timeout = 10;   ///< seconds
  RetryPolicy retry;
};

/// What all requests of one download share: settings, the wish to stop, and who is told what happens. Thread-safe.
class Session {
 public:
  Session(Settings settings, std::function<void(const std::string&)> on_note, const std::atomic<bool>* cancel);

  const Settings& settings() const noexcept { return settings_; }
  /// The token if `url` is at the endpoint's own scheme, host and port; else empty.
  std::string token_for(const std::string& url) const;

  bool stopped() const noexcept { return stop_ || (cancel_ != nullptr && *cancel_); }
  bool cancelled() const noexcept { return cancel_ != nullptr && *cancel_; }
  /// Ends every wait and request soon; for when one thread has failed.
  void stop() noexcept { stop_ = true; }
  /// Throws cancelled once stopped.
  void check() const;
  /// Sleeps; throws cancelled once stopped.
  void wait(double seconds) const;

  void note(const std::string& text);

 private:
  const Settings settings_;
  const std::string origin_;
  const std::function<void(const std::string&)> on_note_;
  const std::atomic<bool>* const cancel_;
  std::atomic<bool> stop_{false};
  std::mutex note_mutex_;
};

/// Counts the failures of one undertaking and waits between tries: twice as long each time with some jitter, or as long
/// as the server asks (retry-after, or t= of ratelimit).
class Retries {
 public:
  /// `what` names the undertaking in notes and errors. `size` bytes are to come: more of them allow more failures.
  Retries(Session& session, std::string what, int64_t size = 0);

  /// After an attempt that brought `progress` bytes and failed for `reason`. Waits, or throws comm when it is no use.
  void failed(const HttpAnswer& answer, const std::string& reason, int64_t progress = 0);

 private:
  Session& session_;
  const std::string what_;
  int in_a_row_ = 0;
  int64_t left_;  // of all failures
};

/// Whether the same request may work later: no answer, 408, 429, 500, 502, 503, 504.
bool is_transient(const HttpAnswer& answer);
/// "no answer (Connection refused)", "HTTP 503".
std::string describe(const HttpAnswer& answer);

}  // namespace wan::hub
