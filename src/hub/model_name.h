#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace wan::hub {

struct ModelName {
  std::string repo;      ///< "Org/Name"
  std::string revision;  ///< branch, tag or commit; empty: the source's main branch
};

/// "t2v-A14B", "Org/Name", either with "@revision"; nullopt if it is none of these.
std::optional<ModelName> parse_model_name(const std::string& text);

/// models--Org--Name within a cache.
std::filesystem::path repo_folder(const std::filesystem::path& cache, const std::string& repo);

/// The snapshot that `revision` (a commit, or a name under refs/; empty: main, then master) stands for, if it is there.
std::optional<std::filesystem::path> find_snapshot(const std::filesystem::path& cache, const ModelName& name);

/// Whether a folder is a checkpoint with none of its files missing.
bool is_complete_checkpoint(const std::filesystem::path& folder);

}  // namespace wan::hub
