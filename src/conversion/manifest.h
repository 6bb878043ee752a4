#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace wan::conversion {

inline constexpr const char* manifest_name = "wan-convert.json";

struct Recorded {
  int64_t bytes = 0;
  std::string sha256;
};

/// wan-convert.json: which conversion a folder is of, and what was written there so far. A file is recorded before it
/// gets its name, so a recorded file may be missing, and one that is there and not recorded is not ours.
struct Manifest {
  std::string key;                        ///< of source and options: what belongs together has the same
  std::map<std::string, Recorded> files;  ///< by path within the folder

  /// Nullopt if there is none. Throws bad_file for one that cannot be read, or names files outside the folder.
  static std::optional<Manifest> read(const std::filesystem::path& folder);
  /// Replaces the file, wholly or not at all.
  void write(const std::filesystem::path& folder) const;
};

}  // namespace wan::conversion
