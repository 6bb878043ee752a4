#include "hub/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <exception>

#include "core/error.h"

namespace wan::hub {
namespace {

constexpr long max_header_bytes = 256 << 10;
constexpr long slowest_bytes_per_second = 1024;

void start_curl() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);  // once for the process, thread-safe
  require(started == CURLE_OK, ErrorCode::unsupported, "[download] libcurl cannot be started: {}",
          curl_easy_strerror(started));
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

struct FreeHandle {
  void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
struct FreeUrl {
  void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
};
struct FreeText {
  void operator()(char* text) const noexcept { curl_free(text); }
};

// What the callbacks of one request share.
struct Exchange {
  const HttpRequest& request;
  HttpAnswer& answer;
  int64_t header_bytes = 0;
  bool head_done = false;
  std::exception_ptr thrown;

  // Runs a callback of the caller; an exception must not pass through C code.
  template <class Action>
  bool guarded(Action action) noexcept {
    try {
      if (action()) return true;
      answer.ended_by_us = true;
    } catch (...) {
      thrown = std::current_exception();
    }
    return false;
  }
};

size_t on_header(char* data, size_t, size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  HttpHead& head = exchange.answer.head;
  const std::string_view line = trimmed({data, size});
  exchange.header_bytes += static_cast<int64_t>(size);
  if (exchange.header_bytes > max_header_bytes) return 0;
  if (line.starts_with("HTTP/")) {  // "100 Continue" and proxies' answers come first: the last one counts
    head.headers.clear();
  } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
    head.headers[lower(trimmed(line.substr(0, colon)))] = std::string(trimmed(line.substr(colon + 1)));
  }
  return size;
}

bool begin_body(Exchange& exchange, CURL* handle) {
  if (exchange.head_done) return true;
  exchange.head_done = true;
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  exchange.answer.head.status = static_cast<int>(status);
  return !exchange.request.on_head || exchange.guarded([&] { return exchange.request.on_head(exchange.answer.head); });
}

struct BodyTarget {
  Exchange* exchange;
  CURL* handle;
};

size_t on_body(char* data, size_t, size_t size, void* user) {
  const auto& target = *static_cast<BodyTarget*>(user);
  Exchange& exchange = *target.exchange;
  if (!begin_body(exchange, target.handle)) return 0;
  if (!exchange.request.on_body) return size;
  const bool go_on = exchange.guarded([&] { return exchange.request.on_body(std::as_bytes(std::span(data, size))); });
  return go_on ? size : 0;
}

int on_tick(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& exchange = *static_cast<Exchange*>(user);
  if (!exchange.request.stopped) return 0;
  return exchange.guarded([&] { return !exchange.request.stopped(); }) ? 0 : 1;
}

bool is_hopeless(CURLcode code) {
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR: return true;
    default: return false;
  }
}

}  // namespace

std::string_view HttpHead::header(const std::string& name) const {
  const auto it = headers.find(name);
  return it == headers.end() ? std::string_view() : std::string_view(it->second);
}

struct HttpClient::State {
  std::unique_ptr<CURL, FreeHandle> handle;
  int connect_timeout;
};

HttpClient::HttpClient(int connect_timeout) {
  start_curl();
  state_ = std::make_unique<State>(State{std::unique_ptr<CURL, FreeHandle>(curl_easy_init()), connect_timeout});
  require(state_->handle != nullptr, ErrorCode::unsupported, "[download] libcurl cannot be started");
}

HttpClient::~HttpClient() = default;

HttpAnswer HttpClient::send(const HttpRequest& request) {
  CURL* const handle = state_->handle.get();
  HttpAnswer answer;
  Exchange exchange{request, answer};
  BodyTarget body{&exchange, handle};
  curl_easy_reset(handle);  // keeps the connections
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "wan.cpp");
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, static_cast<long>(state_->connect_timeout));
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, slowest_bytes_per_second);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall_timeout));
  curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 256L << 10);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_tick);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &exchange);
  if (request.head_only) curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);

  std::unique_ptr<curl_slist, FreeList> headers(curl_slist_append(nullptr, "Accept-Encoding: identity"));
  const auto add_header = [&](const std::string& line) {
    headers.reset(curl_slist_append(headers.release(), line.c_str()));
  };
  if (!request.token.empty()) add_header("Authorization: Bearer " + request.token);
  if (request.range) add_header(fmt::format("Range: bytes={}-{}", request.range->first, request.range->end - 1));
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());

  const CURLcode code = curl_easy_perform(handle);
  if (exchange.thrown) std::rethrow_exception(exchange.thrown);
  if (code == CURLE_OK && !begin_body(exchange, handle) && exchange.thrown) std::rethrow_exception(exchange.thrown);
  if (code != CURLE_OK && !answer.ended_by_us) {
    answer.error = curl_easy_strerror(code);
    answer.cannot_work = is_hopeless(code);
  }
  return answer;
}

std::optional<std::string> origin_of(const std::string& text) {
  const std::unique_ptr<CURLU, FreeUrl> url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return std::nullopt;
  const auto part = [&](CURLUPart which, unsigned flags = 0) {
    char* value = nullptr;
    const bool ok = curl_url_get(url.get(), which, &value, flags) == CURLUE_OK;
    const std::unique_ptr<char, FreeText> owned(value);
    return ok ? lower(value) : std::string();
  };
  const std::string scheme = part(CURLUPART_SCHEME);
  if ((scheme != "http" && scheme != "https") || !part(CURLUPART_USER).empty()) return std::nullopt;
  return scheme + "://" + part(CURLUPART_HOST) + ":" + part(CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

std::optional<std::string> resolve_url(const std::string& base, const std::string& reference) {
  const std::unique_ptr<CURLU, FreeUrl> url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK) return std::nullopt;
  if (curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), 0) != CURLUE_OK) return std::nullopt;
  char* value = nullptr;
  if (curl_url_get(url.get(), CURLUPART_URL, &value, 0) != CURLUE_OK) return std::nullopt;
  return std::string(std::unique_ptr<char, FreeText>(value).get());
}

std::string encode_segment(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) {
    const bool plain = c < 0x80 && (std::isalnum(c) != 0 ||
                                    std::string_view("-._~").find(static_cast<char>(c)) != std::string_view::npos);
    if (plain)
      out += static_cast<char>(c);
    else
      out += fmt::format("%{:02X}", c);
  }
  return out;
}

std::string encode_path(std::string_view path) {
  std::string out;
  for (size_t begin = 0;;) {
    const size_t end = std::min(path.find('/', begin), path.size());
    out += encode_segment(path.substr(begin, end - begin));
    if (end == path.size()) return out;
    out += '/';
    begin = end + 1;
  }
}

}  // namespace wan::hub
