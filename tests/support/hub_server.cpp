#include "support/hub_server.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <span>

#include "hub/digest.h"

namespace wan::test {
namespace {

using nlohmann::json;

std::string query_value(const HttpQuery& query, const std::string& name) {
  const size_t at = query.target.find(name + "=");
  if (at == std::string::npos) return "";
  const size_t begin = at + name.size() + 1;
  return query.target.substr(begin, query.target.find('&', begin) - begin);
}

HttpReply error(int status, const std::string& code) {
  HttpReply reply{.status = status, .body = "{\"error\":\"no\"}"};
  if (!code.empty()) reply.headers.emplace_back("X-Error-Code", code);
  return reply;
}

std::string hash_of(const HubServer::File& file, bool sha256) {
  if (!file.promised.empty()) return file.promised;
  hub::Hasher hasher(sha256 ? hub::Digest::Kind::sha256 : hub::Digest::Kind::git_sha1,
                     static_cast<int64_t>(file.content.size()));
  hasher.add(std::as_bytes(std::span(file.content)));
  return hasher.hex();
}

}  // namespace

HubServer::HubServer(std::string repo, std::map<std::string, File> files, int port)
    : repo_(std::move(repo)),
      files_(std::move(files)),
      cdn_([this](const HttpQuery& query) { return reply(query, true); }),
      hub_([this](const HttpQuery& query) { return reply(query, false); }, port) {}

std::string HubServer::hash(const std::string& path) const {
  const File& file = files_.at(path);
  return hash_of(file, file.is_large);
}

HttpReply HubServer::reply(const HttpQuery& query, bool cdn) {
  const std::lock_guard lock(mutex_);
  HttpReply reply;
  if (!cdn) {
    reply = hub_reply(query);
  } else if (query_value(query, "age") != std::to_string(link_age_)) {
    reply = error(403, "");
  } else {
    reply = content(query, query.path.substr(1));
  }
  alter.apply(query, cdn, reply);
  seen_.push_back({cdn, query, reply.status});
  if (cdn && query.method == "GET")
    body_bytes_ += reply.cut_after >= 0 ? reply.cut_after : static_cast<int64_t>(reply.body.size());
  return reply;
}

HttpReply HubServer::hub_reply(const HttpQuery& query) {
  if (!token.empty() && query.header("authorization") != "Bearer " + token) return error(401, "RepoNotFound");
  const std::string api = "/api/models/" + repo_ + "/", resolved = "/" + repo_ + "/resolve/";
  if (query.path.starts_with(api + "revision/")) return revision(query.path.substr(api.size() + 9));
  if (query.path.starts_with(api + "tree/")) return tree(query);
  if (query.path == "/api/v1/models/" + repo_ + "/repo/files") return modelscope_list();
  std::string path;
  if (query.path.starts_with(resolved)) path = query.path.substr(resolved.size());
  if (query.path.starts_with("/models" + resolved)) path = query.path.substr(7 + resolved.size());
  if (path.empty()) return error(401, "RepoNotFound");
  path = path.substr(std::min(path.size(), path.find('/') + 1));
  return files_.contains(path) ? resolve(query, path) : error(404, "EntryNotFound");
}

HttpReply HubServer::revision(const std::string& name) const {
  if (name != "main" && name != commit_ && name != "refs/pr/1") return error(404, "RevisionNotFound");
  json siblings = json::array();
  for (const auto& [path, file] : files_) siblings.push_back({{"rfilename", path}});
  const json body = {{"id", repo_},          {"modelId", repo_},      {"sha", commit_}, {"private", false},
                     {"siblings", siblings}, {"tags", json::array()}, {"downloads", 0}, {"likes", 0}};
  return {.headers = {{"Content-Type", "application/json"}}, .body = body.dump()};
}

HttpReply HubServer::tree(const HttpQuery& query) const {
  const std::string cursor = query_value(query, "cursor");
  const size_t first = cursor.empty() ? 0 : std::stoul(cursor);
  json page = json::array();
  size_t i = 0;
  for (const auto& [path, file] : files_) {
    if (i++ < first) continue;
    if (page.size() == page_size) break;
    json entry = {{"type", "file"}, {"path", path}, {"size", file.content.size()}, {"oid", hash_of(file, false)}};
    if (file.is_large) {
      entry["oid"] = std::string(40, '1');
      entry["lfs"] = {{"oid", hash_of(file, true)}, {"size", file.content.size()}, {"pointerSize", 134}};
    }
    page.push_back(entry);
  }
  HttpReply reply{.headers = {{"Content-Type", "application/json"}}, .body = page.dump()};
  if (first + page.size() < files_.size()) {
    const std::string next = url() + query.target.substr(0, query.target.find("&cursor=")) +
                             "&cursor=" + std::to_string(first + page.size());
    reply.headers.emplace_back("Link", "<" + next + ">; rel=\"next\"");
  }
  return reply;
}

HttpReply HubServer::resolve(const HttpQuery& query, const std::string& path) {
  const File& file = files_.at(path);
  HttpReply reply;
  if (file.is_large) {
    const std::string linked = std::to_string(file.content.size());
    const std::string encoded = query.target.substr(query.target.size() - path.size());
    reply = {.status = 302,
             .headers = {{"Location", cdn_.url() + "/" + encoded + "?age=" + std::to_string(link_age_)},
                         {"X-Linked-Size", linked},
                         {"X-Linked-Etag", "\"" + hash_of(file, true) + "\""}}};
  } else {
    reply = content(query, path);
    reply.headers.emplace_back("ETag", "\"" + hash_of(file, false) + "\"");
  }
  reply.headers.emplace_back("X-Repo-Commit", commit_);
  return reply;
}

HttpReply HubServer::modelscope_list() const {
  json list = json::array({{{"Type", "tree"}, {"Path", "high_noise_model"}, {"Size", 0}, {"Sha256", ""}}});
  for (const auto& [path, file] : files_)
    list.push_back({{"Type", "blob"}, {"Path", path}, {"Size", file.content.size()}, {"Sha256", hash_of(file, true)}});
  return {.body = json({{"Code", 200}, {"Success", true}, {"Data", {{"Files", list}}}}).dump()};
}

HttpReply HubServer::content(const HttpQuery& query, const std::string& path) const {
  const auto it = files_.find(path);
  if (it == files_.end()) return error(404, "");
  const std::string& all = it->second.content;
  const std::string range = query.header("range");
  if (!range.starts_with("bytes=")) return {.headers = {{"Accept-Ranges", "bytes"}}, .body = all};
  const size_t dash = range.find('-');
  const size_t first = std::stoul(range.substr(6, dash - 6));
  const std::string last_text = range.substr(dash + 1);
  if (first >= all.size())
    return {.status = 416, .headers = {{"Content-Range", "bytes */" + std::to_string(all.size())}}};
  const size_t last = last_text.empty() ? all.size() - 1 : std::min(all.size() - 1, std::stoul(last_text));
  return {.status = 206,
          .headers = {{"Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" +
                                            std::to_string(all.size())}},
          .body = all.substr(first, last - first + 1)};
}

void HubServer::expire_links() {
  const std::lock_guard lock(mutex_);
  ++link_age_;
}

std::vector<HubServer::Seen> HubServer::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

size_t HubServer::count(const std::string& method, bool cdn) const {
  const auto all = seen();
  return static_cast<size_t>(
      std::count_if(all.begin(), all.end(), [&](const Seen& s) { return s.cdn == cdn && s.query.method == method; }));
}

int64_t HubServer::body_bytes() const {
  const std::lock_guard lock(mutex_);
  return body_bytes_;
}

std::string noise(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

std::map<std::string, HubServer::File> checkpoint_files(size_t scale) {
  const std::string config = "{\"dim\": 64}";
  std::map<std::string, HubServer::File> files = {
      {".gitattributes", {"*.pth filter=lfs\n"}},
      {"README.md", {"# A model\n"}},
      {"assets/logo.png", {noise(scale, 1), true}},
      {"configuration.json", {"{}"}},
      {"Wan2.1_VAE.pth", {noise(scale / 2 + 7, 2), true}},
      {"models_t5_umt5-xxl-enc-bf16.pth", {noise(scale + 1, 3), true}},
      {"google/umt5-xxl/spiece.model", {noise(1000, 4), true}},
      {"google/umt5-xxl/tokenizer_config.json", {"{\"a\": 1}"}},
  };
  unsigned seed = 10;
  for (const std::string folder : {"high_noise_model/", "low_noise_model/"}) {
    files[folder + "config.json"] = {config};  // the same content twice
    for (const char* shard : {"00001-of-00002", "00002-of-00002"})
      files[folder + "diffusion_pytorch_model-" + shard + ".safetensors"] = {noise(scale + seed, seed), true}, ++seed;
  }
  return files;
}

}  // namespace wan::test
