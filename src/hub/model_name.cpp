#include "hub/model_name.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "io/checkpoint.h"
#include "wan/download.h"

namespace wan::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::pair<const char*, const char*>, 3> known = {{{"t2v-A14B", "Wan-AI/Wan2.2-T2V-A14B"},
                                                                       {"i2v-A14B", "Wan-AI/Wan2.2-I2V-A14B"},
                                                                       {"ti2v-5B", "Wan-AI/Wan2.2-TI2V-5B"}}};

// The hubs' own rule for the two halves of a repository's name.
bool is_name_part(std::string_view text) {
  return !text.empty() && text.size() <= 96 && std::isalnum(static_cast<unsigned char>(text[0])) != 0 &&
         text.find("..") == std::string_view::npos && text.find("--") == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return c < 0x80 && (std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.');
         });
}

// It becomes a path under refs/.
bool is_revision(std::string_view text) {
  return !text.empty() && text.size() <= 200 && text.front() != '/' && text.back() != '/' && text.front() != '.' &&
         text.find("..") == std::string_view::npos && text.find("//") == std::string_view::npos &&
         text.find("/.") == std::string_view::npos && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return c > 0x20 && c < 0x7f &&
                  std::string_view("\\:*?\"<>|~^[").find(static_cast<char>(c)) == std::string_view::npos;
         });
}

bool is_commit(std::string_view text) {
  return text.size() == 40 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
}

std::optional<fs::path> snapshot_of(const fs::path& folder, const std::string& revision) {
  std::string commit = revision;
  if (!is_commit(commit)) {
    std::ifstream in(folder / "refs" / revision);
    commit.clear();
    in >> commit;
    if (!is_commit(commit)) return std::nullopt;
  }
  std::error_code ignored;
  fs::path snapshot = folder / "snapshots" / commit;
  return fs::is_directory(snapshot, ignored) ? std::optional(std::move(snapshot)) : std::nullopt;
}

}  // namespace

std::optional<ModelName> parse_model_name(const std::string& text) {
  const size_t at = text.find('@');
  ModelName name{text.substr(0, at), at == std::string::npos ? "" : text.substr(at + 1)};
  if (at != std::string::npos && !is_revision(name.revision)) return std::nullopt;
  for (const auto& [task, repo] : known)
    if (name.repo == task) {
      name.repo = repo;
      return name;
    }
  const size_t slash = name.repo.find('/');
  if (slash == std::string::npos) return std::nullopt;
  const std::string_view repo = name.repo;
  if (!is_name_part(repo.substr(0, slash)) || !is_name_part(repo.substr(slash + 1))) return std::nullopt;
  return name;
}

fs::path repo_folder(const fs::path& cache, const std::string& repo) {
  std::string name = "models--" + repo;
  name.replace(name.find('/'), 1, "--");
  return cache / name;
}

std::optional<fs::path> find_snapshot(const fs::path& cache, const ModelName& name) {
  const fs::path folder = repo_folder(cache, name.repo);
  if (!name.revision.empty()) return snapshot_of(folder, name.revision);
  auto snapshot = snapshot_of(folder, "main");
  return snapshot ? snapshot : snapshot_of(folder, "master");
}

bool is_complete_checkpoint(const fs::path& folder) {
  try {
    io::open_checkpoint(folder);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace wan::hub

namespace wan {

std::optional<std::filesystem::path> find_model(const std::string& model, const std::filesystem::path& cache) {
  const auto name = hub::parse_model_name(model);
  if (!name) return std::nullopt;
  auto snapshot = hub::find_snapshot(cache, *name);
  if (snapshot && !hub::is_complete_checkpoint(*snapshot)) return std::nullopt;
  return snapshot;
}

bool is_model_name(const std::string& text) { return hub::parse_model_name(text).has_value(); }

}  // namespace wan
