#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/error.h"
#include "hub/source.h"
#include "io/json.h"
#include "io/printable.h"

namespace wan::hub {
namespace {

constexpr int max_redirects = 5;
constexpr int max_pages = 1000;
constexpr size_t max_entries = 100'000;
constexpr int64_t page_limit = 32 << 20;
constexpr io::JsonLimits json_limits{.max_bytes = page_limit, .max_depth = 16, .max_values = 2'000'000};

nlohmann::json parse(const Page& page, const std::string& what) {
  try {
    return io::parse_json(std::as_bytes(std::span(page.body)), what, json_limits);
  } catch (const Error& error) {
    throw Error(ErrorCode::comm, error.what());
  }
}

// An entity tag without its quotes and the mark of a weak one.
std::string_view bare_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return etag;
}

// The target of rel="next" in a Link header (RFC 8288), as it is written there.
std::optional<std::string> next_of(std::string_view link) {
  while (!link.empty()) {
    const size_t open = link.find('<'), close = link.find('>', open);
    if (close == std::string_view::npos) return std::nullopt;
    const std::string_view target = link.substr(open + 1, close - open - 1);
    const size_t end = std::min(link.find(',', close), link.size());
    if (link.substr(close, end - close).find("rel=\"next\"") != std::string_view::npos) return std::string(target);
    link.remove_prefix(std::min(end + 1, link.size()));
  }
  return std::nullopt;
}

bool is_relative(std::string_view location) {
  return !location.empty() && location.find("://") == std::string_view::npos && !location.starts_with("//");
}

class HuggingFace final : public Source {
 public:
  HuggingFace(Session& session, ModelName name) : session_(session), name_(std::move(name)) {}

  Listing list(HttpClient& client) override {
    Listing listing;
    listing.commit = commit_ = pin(client);
    std::string url = fmt::format("{}/api/models/{}/tree/{}?recursive=true&expand=false", session_.settings().endpoint,
                                  name_.repo, commit_);
    for (int pages = 0;; ++pages) {
      require(pages < max_pages && listing.files.size() <= max_entries, ErrorCode::comm,
              "[{}] the list of files does not end", name_.repo);
      const Page page = get_page(session_, client, *this, url, name_.repo, page_limit);
      add_entries(parse(page, name_.repo), listing);
      const auto next = next_of(page.head.header("link"));
      if (!next) break;
      const auto resolved = resolve_url(page.url, *next);
      require(resolved && origin_of(*resolved) == origin_of(session_.settings().endpoint), ErrorCode::comm,
              "[{}] the list of files goes on at {}, an address of the hub was expected", name_.repo,
              io::printable(*next));
      url = *resolved;
    }
    check_listing(listing, name_.repo);
    return listing;
  }

  // A HEAD request whose headers say etag and size; the last redirect, which is absolute, leads to the bytes.
  std::string locate(HttpClient& client, const RemoteFile& file) override {
    const std::string what = name_.repo + "/" + file.path;
    std::string url =
        fmt::format("{}/{}/resolve/{}/{}", session_.settings().endpoint, name_.repo, commit_, encode_path(file.path));
    Retries retries(session_, what);
    for (int redirects = 0;;) {
      HttpRequest request{.url = url, .head_only = true, .token = session_.token_for(url)};
      request.stall_timeout = session_.settings().answer_timeout;
      request.stopped = [&] { return session_.stopped(); };
      const HttpAnswer answer = client.send(request);
      session_.check();
      const int status = answer.head.status;
      const std::string location(answer.head.header("location"));
      if (!answer.error.empty() || is_transient(answer)) {
        retries.failed(answer, describe(answer));
      } else if (status == 200) {
        check(answer.head, file, what);
        return url;
      } else if (status >= 300 && status < 400 && !location.empty()) {
        if (is_relative(location)) {
          require(++redirects <= max_redirects, ErrorCode::comm,
                  "[{}] the hub sends us from one address to the next without end", what);
          url = resolve_url(url, location).value_or("");
        } else {
          check(answer.head, file, what);
          return location;
        }
      } else {
        refuse(answer, what);
      }
    }
  }

 private:
  std::string pin(HttpClient& client) {
    const std::string what =
        name_.revision == default_revision(ModelSource::hugging_face) ? name_.repo : name_.repo + "@" + name_.revision;
    const std::string url = fmt::format("{}/api/models/{}/revision/{}", session_.settings().endpoint, name_.repo,
                                        encode_segment(name_.revision));
    const auto json = parse(get_page(session_, client, *this, url, what, page_limit), what);
    const std::string commit = reader(json).string("sha", "");
    const auto digest = parse_digest(commit);
    require(digest && digest->kind == Digest::Kind::git_sha1, ErrorCode::comm,
            "[{}] the hub names the commit {}, 40 hex digits were expected", what, io::printable(commit));
    return digest->hex;
  }

  void add_entries(const nlohmann::json& entries, Listing& listing) const {
    require(entries.is_array(), ErrorCode::comm, "[{}] the list of files is no list", name_.repo);
    for (const nlohmann::json& json : entries) {
      const io::JsonReader entry = reader(json);
      if (text(entry, "type") != "file") continue;
      RemoteFile file{.path = text(entry, "path"), .size = size(entry)};
      std::string digest = text(entry, "oid");
      if (entry.has("lfs")) {
        const io::JsonReader lfs = reader(json["lfs"]);
        digest = text(lfs, "oid");
        require(size(lfs) == file.size, ErrorCode::comm, "[{}] gives the file {} two sizes", name_.repo,
                io::printable(file.path));
      }
      const auto parsed = parse_digest(digest);
      require(parsed.has_value(), ErrorCode::comm,
              "[{}] the file {} has the hash {}, 40 or 64 hex digits were expected", name_.repo,
              io::printable(file.path), io::printable(digest));
      file.digest = *parsed;
      listing.files.push_back(std::move(file));
    }
  }

  // JSON of a wrong shape is the hub's fault, not a file's.
  template <class Action>
  static auto as_comm(Action action) {
    try {
      return action();
    } catch (const Error& error) {
      throw Error(ErrorCode::comm, error.what());
    }
  }
  io::JsonReader reader(const nlohmann::json& json) const {
    return as_comm([&] { return io::JsonReader(json, name_.repo); });
  }
  static std::string text(const io::JsonReader& json, const char* key) {
    return as_comm([&] { return json.string(key); });
  }
  static int64_t size(const io::JsonReader& json) {
    return as_comm([&] { return json.integer("size"); });
  }

  // What the headers say of the file must be what the list says: we have pinned the commit.
  void check(const HttpHead& head, const RemoteFile& file, const std::string& what) const {
    const std::string_view commit = head.header("x-repo-commit");
    require(commit.empty() || commit == commit_, ErrorCode::comm, "[{}] is of commit {}, {} was expected", what,
            io::printable(commit), commit_);
    const bool linked = !head.header("x-linked-etag").empty();
    const auto digest = parse_digest(bare_etag(head.header(linked ? "x-linked-etag" : "etag")));
    require(!digest || *digest == file.digest, ErrorCode::comm,
            "[{}] has the hash {} by its headers, {} by the list of files: try again later", what,
            digest ? digest->hex : "", file.digest.hex);
    const std::string_view given =
        head.header(head.header("x-linked-size").empty() ? "content-length" : "x-linked-size");
    int64_t bytes = -1;
    const bool known = std::from_chars(given.data(), given.data() + given.size(), bytes).ec == std::errc();
    const bool of_this_answer = head.header("x-linked-size").empty() && head.status != 200;  // a redirect's own length
    require(!known || of_this_answer || bytes == file.size, ErrorCode::comm,
            "[{}] has {} bytes by its headers, {} by the list of files: try again later", what, bytes, file.size);
  }

  Session& session_;
  const ModelName name_;
  std::string commit_;
};

}  // namespace

std::unique_ptr<Source> make_hugging_face(Session& session, const ModelName& name) {
  return std::make_unique<HuggingFace>(session, name);
}

}  // namespace wan::hub
