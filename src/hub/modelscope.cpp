#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "hub/source.h"
#include "io/json.h"
#include "io/printable.h"

namespace wan::hub {
namespace {

constexpr int64_t page_limit = 32 << 20;
constexpr io::JsonLimits json_limits{.max_bytes = page_limit, .max_depth = 16, .max_values = 2'000'000};

// ModelScope's lists name no commit. This one stands for the content: the first 40 digits of the sha256 of all paths
// and hashes, so that a changed repository becomes another snapshot.
std::string content_commit(const Listing& listing) {
  std::vector<std::string> lines;
  for (const RemoteFile& file : listing.files) lines.push_back(file.path + "\n" + file.digest.hex + "\n");
  std::sort(lines.begin(), lines.end());
  Hasher hasher(Digest::Kind::sha256, 0);
  for (const std::string& line : lines) hasher.add(std::as_bytes(std::span(line)));
  return hasher.hex().substr(0, 40);
}

class ModelScope final : public Source {
 public:
  ModelScope(Session& session, ModelName name) : session_(session), name_(std::move(name)) {}

  Listing list(HttpClient& client) override {
    const std::string url = fmt::format("{}/api/v1/models/{}/repo/files?Revision={}&Recursive=true",
                                        session_.settings().endpoint, name_.repo, encode_segment(name_.revision));
    const Page page = get_page(session_, client, *this, url, name_.repo, page_limit);
    Listing listing;
    try {
      add_files(io::parse_json(std::as_bytes(std::span(page.body)), name_.repo, json_limits), listing);
    } catch (const Error& error) {
      throw Error(ErrorCode::comm, error.what());
    }
    check_listing(listing, name_.repo);
    listing.commit = content_commit(listing);
    return listing;
  }

  std::string locate(HttpClient&, const RemoteFile& file) override {
    return fmt::format("{}/models/{}/resolve/{}/{}", session_.settings().endpoint, name_.repo,
                       encode_segment(name_.revision), encode_path(file.path));
  }

 private:
  void add_files(const nlohmann::json& json, Listing& listing) const {
    const bool ok = json.is_object() && json.contains("Data") && json["Data"].is_object() &&
                    json["Data"].contains("Files") && json["Data"]["Files"].is_array();
    require(ok, ErrorCode::comm, "[{}] the hub's answer has no list of files: check the name", name_.repo);
    for (const nlohmann::json& entry : json["Data"]["Files"]) {
      const io::JsonReader reader(entry, name_.repo);
      if (reader.string("Type") != "blob") continue;
      RemoteFile file{.path = reader.string("Path"), .size = reader.integer("Size")};
      const std::string hash = reader.string("Sha256");
      const auto digest = parse_digest(hash);
      require(digest && digest->kind == Digest::Kind::sha256, ErrorCode::comm,
              "[{}] the file {} has the hash {}, 64 hex digits were expected", name_.repo, io::printable(file.path),
              io::printable(hash));
      file.digest = *digest;
      listing.files.push_back(std::move(file));
    }
  }

  Session& session_;
  const ModelName name_;
};

}  // namespace

std::unique_ptr<Source> make_modelscope(Session& session, const ModelName& name) {
  return std::make_unique<ModelScope>(session, name);
}

}  // namespace wan::hub
