#include "hub/session.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <random>
#include <thread>

#include "core/error.h"
#include "io/printable.h"

namespace wan::hub {
namespace {

constexpr int64_t failures_besides_size = 20;
constexpr int64_t bytes_per_failure = 1 << 20;

std::optional<double> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data() || value < 0) return std::nullopt;
  return value;
}

// retry-after in seconds (its other form, a date, is not used by hubs), or t= of: ratelimit: "api";r=0;t=55
std::optional<double> asked_wait(const HttpHead& head) {
  if (const auto seconds = number(head.header("retry-after"))) return seconds;
  const std::string_view limit = head.header("ratelimit");
  const size_t at = limit.find("t=");
  return at == std::string_view::npos ? std::nullopt : number(limit.substr(at + 2));
}

}  // namespace

Session::Session(Settings settings, std::function<void(const std::string&)> on_note, const std::atomic<bool>* cancel)
    : settings_(std::move(settings)),
      origin_(origin_of(settings_.endpoint).value_or("")),
      on_note_(std::move(on_note)),
      cancel_(cancel) {
  require(!origin_.empty(), ErrorCode::invalid_argument,
          "[download] the endpoint {} is no address, one such as https://huggingface.co was expected",
          io::printable(settings_.endpoint));
}

std::string Session::token_for(const std::string& url) const {
  return origin_of(url) == origin_ ? settings_.token : std::string();
}

void Session::check() const { require(!stopped(), ErrorCode::cancelled, "[download] stopped; what has come is kept"); }

void Session::wait(double seconds) const {
  constexpr double slice = 0.05;
  for (; seconds > 0; seconds -= slice) {
    check();
    std::this_thread::sleep_for(std::chrono::duration<double>(std::min(seconds, slice)));
  }
  check();
}

void Session::note(const std::string& text) {
  const std::lock_guard lock(note_mutex_);
  if (on_note_) on_note_(text);
}

Retries::Retries(Session& session, std::string what, int64_t size)
    : session_(session), what_(std::move(what)), left_(failures_besides_size + size / bytes_per_failure) {}

void Retries::failed(const HttpAnswer& answer, const std::string& reason, int64_t progress) {
  session_.check();
  const RetryPolicy& policy = session_.settings().retry;
  if (progress > 0) in_a_row_ = 0;
  ++in_a_row_;
  --left_;
  require(in_a_row_ < policy.attempts && left_ > 0 && !answer.cannot_work, ErrorCode::comm,
          "[{}] {}{}; check the network and run the same command again: what has come is kept", what_, reason,
          answer.cannot_work ? "" : fmt::format(" after {} tries", in_a_row_));
  double seconds =
      std::min(policy.longest_wait, policy.first_wait * static_cast<double>(int64_t{1} << (in_a_row_ - 1)));
  thread_local std::minstd_rand random{std::random_device{}()};
  seconds *= std::uniform_real_distribution<double>(0.75, 1.25)(random);
  if (const auto asked = asked_wait(answer.head)) {
    require(*asked <= policy.longest_asked, ErrorCode::comm,
            "[{}] {}, and asks to wait {} s: run the same command again later; what has come is kept", what_, reason,
            *asked);
    seconds = std::max(seconds, *asked);
  }
  if (seconds >= 1) session_.note(fmt::format("{}: {}; trying again in {:.0f} s", what_, reason, seconds));
  session_.wait(seconds);
}

bool is_transient(const HttpAnswer& answer) {
  switch (answer.head.status) {
    case 0: return !answer.cannot_work;
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504: return true;
    default: return false;
  }
}

std::string describe(const HttpAnswer& answer) {
  if (answer.head.status == 0) return fmt::format("no answer ({})", answer.error);
  if (!answer.error.empty()) return fmt::format("the answer broke off ({})", answer.error);
  if (answer.head.status == 429) return "the server wants fewer requests (HTTP 429)";
  return fmt::format("HTTP {}", answer.head.status);
}

}  // namespace wan::hub
