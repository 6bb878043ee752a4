// How one range of a file is fetched: requests, what their answers mean, and when to try again.
#include <charconv>
#include <optional>

#include "core/error.h"
#include "hub/transfer.h"
#include "io/printable.h"

namespace wan::hub {
namespace {

constexpr int max_redirects = 5;
constexpr int64_t max_error_page = 64 << 10;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::optional<int64_t> number(std::string_view& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

struct ContentRange {
  ByteRange range;
  std::optional<int64_t> size;  // of the whole
};

// "bytes 0-99/1234", "bytes 0-99/*"
std::optional<ContentRange> parse_content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  const auto first = number(text);
  if (!first || !text.starts_with("-")) return std::nullopt;
  text.remove_prefix(1);
  const auto last = number(text);
  if (!last || *last < *first || !text.starts_with("/")) return std::nullopt;
  text.remove_prefix(1);
  return ContentRange{{*first, *last + 1}, number(text)};
}

}  // namespace

// Of one item: where it is, and what the present answer is about.
struct Transfer::Attempt {
  ByteRange left;
  int64_t came = 0;    // bytes of this try that were written
  bool taken = false;  // the answer's body is the content
  bool ignores_range = false;
  std::string problem;  // with an answer that cannot be the content
  int64_t error_page = 0;
};

void Transfer::fetch(HttpClient& client, const Item& item) {
  Task& task = *item.task;
  Attempt state{.left = item.range};
  Retries retries(session_, task.file.path, task.file.size);
  int expired = 0;
  while (state.left.size() > 0 && is_current(item)) {
    session_.check();
    const std::string link = link_of(client, task);
    state.came = 0;
    std::string url = link;
    HttpAnswer answer;
    for (int redirects = 0; redirects <= max_redirects; ++redirects) {
      answer = send(client, item, state, url);
      session_.check();
      if (!answer.error.empty() || !is_redirect(answer.head.status)) break;
      const auto next = resolve_url(url, std::string(answer.head.header("location")));
      const auto origin = next ? origin_of(*next) : std::nullopt;
      require(origin && !(url.starts_with("https:") && next->starts_with("http:")), ErrorCode::comm,
              "[{}] the server sends us to {}, a safe address was expected", io::printable(task.file.path),
              io::printable(answer.head.header("location")));
      url = *next;
    }
    if (state.ignores_range) return fall_back_to_one_go(item);
    if (state.left.size() == 0 || !is_current(item)) return;  // whatever came after the last byte: the hash tells
    const int status = answer.head.status;
    if (!state.problem.empty()) {
      retries.failed(answer, state.problem, state.came);
    } else if (!answer.error.empty() || state.taken) {
      retries.failed(answer, answer.error.empty() ? "the answer was too short" : describe(answer), state.came);
    } else if (is_transient(answer)) {
      retries.failed(answer, describe(answer));
    } else if (status == 416 || origin_of(url) != origin_of(session_.settings().endpoint)) {
      // A signed link has expired, or the file has another size than we think: the hub is asked again, which tells.
      forget_link(task, link);
      if (expired++ > 0) retries.failed(answer, describe(answer));
    } else {
      source_.refuse(answer, task.file.path);
    }
  }
}

HttpAnswer Transfer::send(HttpClient& client, const Item& item, Attempt& state, const std::string& url) {
  state.taken = state.ignores_range = false;
  state.problem.clear();
  state.error_page = 0;
  const bool whole = state.left == ByteRange{0, item.task->file.size};
  HttpRequest request{.url = url, .token = session_.token_for(url)};
  if (!whole) request.range = state.left;
  request.stall_timeout = session_.settings().stall_timeout;
  request.stopped = [this] { return session_.stopped(); };
  request.on_head = [&](const HttpHead& head) { return accept_head(head, item, state); };
  request.on_body = [&](std::span<const std::byte> bytes) { return accept_body(bytes, item, state); };
  return client.send(request);
}

// False ends the request: what would come cannot be used.
bool Transfer::accept_head(const HttpHead& head, const Item& item, Attempt& state) {
  const int64_t size = item.task->file.size;
  if (head.status != 200 && head.status != 206) return true;  // an error page, which is dropped
  std::string_view text = head.header("content-length");
  const auto length = number(text);
  if (head.status == 206) {
    const auto got = parse_content_range(head.header("content-range"));
    if (!got || got->range.first != state.left.first || got->range.end > state.left.end)
      state.problem = fmt::format("bytes {} to {} were asked for, the server sends '{}'", state.left.first,
                                  state.left.end - 1, io::printable(head.header("content-range")));
    else if (got->size && *got->size != size)
      state.problem = fmt::format("the file has {} bytes on the server, {} were announced", *got->size, size);
  } else if (length && *length != size) {
    state.problem = fmt::format("the file has {} bytes on the server, {} were announced", *length, size);
  } else if (state.left.first != 0 || state.left.end != size) {
    if (!item.task->in_one_go) {
      state.ignores_range = true;
      return false;
    }
    item.task->partial->restart();
    state.left = {0, size};
  }
  state.taken = state.problem.empty();
  return state.taken;
}

bool Transfer::accept_body(std::span<const std::byte> bytes, const Item& item, Attempt& state) {
  const auto n = static_cast<int64_t>(bytes.size());
  if (!state.taken) return (state.error_page += n) <= max_error_page;
  if (!is_current(item)) return false;
  if (n > state.left.size()) {
    state.problem = fmt::format("more bytes came than the {} announced", item.task->file.size);
    return false;
  }
  item.task->partial->write(state.left.first, bytes);
  state.left.first += n;
  state.came += n;
  received_ += n;
  return true;
}

}  // namespace wan::hub
