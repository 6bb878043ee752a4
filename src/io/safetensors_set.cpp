#include "io/safetensors_set.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "core/error.h"
#include "io/json.h"
#include "io/printable.h"
#include "io/safetensors.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view extension = ".safetensors";
constexpr std::string_view index_extension = ".safetensors.index.json";
constexpr JsonLimits index_limits{.max_bytes = 32 << 20, .max_depth = 8, .max_values = 1'000'000};

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// Only a plain name of a safetensors file; never a way out of the folder.
bool is_plain_name(const std::string& name) {
  return name.size() > extension.size() && name.ends_with(extension) &&
         name.find_first_of("/\\") == std::string::npos && name.find('\0') == std::string::npos;
}

std::map<std::string, std::string> read_weight_map(const fs::path& index) {
  const nlohmann::json document = read_json_file(index, index_limits);
  const std::string where = index.string();
  const bool has_map = document.is_object() && document.contains("weight_map") && document["weight_map"].is_object();
  require(has_map, ErrorCode::bad_file, "[{}] has no 'weight_map' object: fetch the file again", where);
  std::map<std::string, std::string> out;
  for (const auto& [tensor, file] : document["weight_map"].items()) {
    require(file.is_string() && is_plain_name(file.get_ref<const std::string&>()), ErrorCode::bad_file,
            "[{}] tensor {} is said to be in {}, expected the name of a safetensors file in the same folder", where,
            printable(tensor), printable(file.dump(-1, ' ', true)));
    out.emplace(tensor, file.get<std::string>());
  }
  require(!out.empty(), ErrorCode::bad_file, "[{}] lists no tensors: fetch the file again", where);
  return out;
}

// N of "STEM-0000k-of-0000N.safetensors".
std::optional<int> shard_count(std::string_view name, std::string_view stem) {
  constexpr std::string_view middle = "-of-";
  if (name.size() != stem.size() + 1 + 5 + middle.size() + 5 + extension.size()) return std::nullopt;
  if (!name.starts_with(stem) || !name.ends_with(extension) || name.substr(stem.size() + 6, 4) != middle)
    return std::nullopt;
  const std::string_view digits = name.substr(stem.size() + 10, 5);
  int count = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (error != std::errc() || end != digits.data() + digits.size() || count < 1) return std::nullopt;
  return count;
}

std::optional<int> find_shard_count(const fs::path& folder, const std::string& stem) {
  std::optional<int> count;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const auto n = shard_count(entry.path().filename().string(), stem);
    require(!n || !count || *n == *count, ErrorCode::bad_file,
            "[{}] holds shards of two different sets ({} and {} files): remove one set", folder.string(),
            count.value_or(0), n.value_or(0));
    if (n) count = n;
  }
  return count;
}

void note_missing(SafetensorsSet& set) {
  for (const fs::path& file : set.files)
    if (!is_file(file)) set.missing.push_back(file.string());
}

SafetensorsSet set_from_index(const fs::path& index) {
  SafetensorsSet set{index.parent_path(), index, {}, {}};
  std::set<std::string> names;
  for (const auto& [tensor, file] : read_weight_map(index)) names.insert(file);
  for (const std::string& name : names) set.files.push_back(set.folder / name);
  note_missing(set);
  return set;
}

// What the index promises and the files do not keep.
void check_promises(const SafetensorsSet& set, const TensorIndex& tensors, std::vector<std::string>& problems) {
  size_t broken = 0;
  for (const auto& [tensor, file] : read_weight_map(set.index)) {
    const TensorEntry* entry = tensors.find(tensor);
    if (entry != nullptr && fs::path(entry->file->name()).filename() == file) continue;
    if (++broken <= 10)
      problems.push_back(fmt::format("[{}] has no tensor {}", (set.folder / file).string(), printable(tensor)));
  }
  if (broken > 10) problems.push_back(fmt::format("and {} more tensors are not where the index says", broken - 10));
}

}  // namespace

SafetensorsSet find_safetensors(const fs::path& folder, const std::string& stem) {
  const fs::path index = folder / (stem + std::string(index_extension));
  if (is_file(index)) return set_from_index(index);
  const fs::path single = folder / (stem + std::string(extension));
  SafetensorsSet set{folder, {}, {single}, {}};
  if (is_file(single)) return set;
  if (const auto count = find_shard_count(folder, stem)) {
    set.files.clear();
    for (int k = 1; k <= *count; ++k)
      set.files.push_back(folder / fmt::format("{}-{:05}-of-{:05}{}", stem, k, *count, extension));
    note_missing(set);
    return set;
  }
  set.missing.push_back(fmt::format("{} (or its shards {}-0000k-of-0000N.safetensors)", single.string(), stem));
  return set;
}

TensorIndex open_safetensors_set(const SafetensorsSet& set) {
  std::vector<std::string> problems;
  for (const std::string& name : set.missing) problems.push_back(fmt::format("[{}] is missing", name));
  TensorIndex all(set.folder.string());
  for (const fs::path& file : set.files) {
    if (!is_file(file)) continue;
    try {
      all.merge(open_safetensors(file).tensors);
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
  }
  if (problems.empty() && !set.index.empty()) check_promises(set, all, problems);
  if (problems.size() == 1) throw Error(ErrorCode::bad_file, problems[0] + "; download the checkpoint again");
  require(problems.empty(), ErrorCode::bad_file, "[{}] {} problems; download the checkpoint again:\n  {}",
          set.folder.string(), problems.size(), fmt::join(problems, "\n  "));
  return all;
}

TensorIndex open_safetensors_path(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return open_safetensors_set(find_safetensors(path));
  if (path.native().ends_with(index_extension)) return open_safetensors_set(set_from_index(path));
  return open_safetensors(path).tensors;
}

}  // namespace wan::io
