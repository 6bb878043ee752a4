#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace wan::hub {

struct ByteRange {
  int64_t first = 0, end = 0;  ///< [first, end)
  int64_t size() const noexcept { return end - first; }
  bool operator==(const ByteRange&) const = default;
};

struct HttpHead {
  int status = 0;                              ///< 0: no answer came
  std::map<std::string, std::string> headers;  ///< names in lower case; the last of a repeated one

  std::string_view header(const std::string& name) const;
};

struct HttpRequest {
  std::string url;  ///< http or https
  bool head_only = false;
  std::string token;               ///< sent as it is to this URL; the caller knows that it may be
  std::optional<ByteRange> range;  ///< asked for, if set
  int stall_timeout = 10;          ///< seconds
  /// Called once before the body; false ends the request there.
  std::function<bool(const HttpHead&)> on_head;
  /// Pieces of the body; false ends the request. May throw: the exception comes out of send().
  std::function<bool(std::span<const std::byte>)> on_body;
  std::function<bool()> stopped;  ///< asked at least once a second; true ends the request
};

/// What came of a request. It is whole only if `error` is empty.
struct HttpAnswer {
  HttpHead head;
  std::string error;         ///< why no answer, or not the whole answer, came: no connection, time over, cut off
  bool ended_by_us = false;  ///< a callback returned false, or `stopped` true
  bool cannot_work = false;  ///< trying again is no use: a bad certificate, a URL that means nothing
};

/// One connection that is kept open from request to request. Follows no redirects, keeps no cookies, takes no
/// compression. One thread at a time.
class HttpClient {
 public:
  /// Seconds for a connection to come about.
  explicit HttpClient(int connect_timeout);
  ~HttpClient();
  HttpAnswer send(const HttpRequest& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "scheme://host:port" in lower case with the scheme's own port filled in. Nullopt unless http or https, or if there
/// is a user name.
std::optional<std::string> origin_of(const std::string& url);

/// What `reference` of a page at `base` means; nullopt if nothing.
std::optional<std::string> resolve_url(const std::string& base, const std::string& reference);

/// Percent-encodes every byte but letters, digits and "-._~".
std::string encode_segment(std::string_view text);
/// The same for a path: slashes stay.
std::string encode_path(std::string_view path);

}  // namespace wan::hub
