#pragma once
#include <filesystem>
#include <string_view>

namespace wan::hub {

/// Small steps on the disk with errors that say what to do. All throw bad_file, or invalid_argument where the caller's
/// choice of a folder is to blame.

void make_folders(const std::filesystem::path& folder);

/// Makes `path` hold `text`, wholly or not at all, by way of `temporary` (same file system, and nobody else's).
void replace_file(const std::filesystem::path& path, std::string_view text, const std::filesystem::path& temporary);

/// Gives a file whose content is on the disk already its name, and flushes the folder.
void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to);

/// Throws invalid_argument unless `bytes` are free where `folder` (or its nearest existing parent) is.
void check_space(const std::filesystem::path& folder, int64_t bytes);

}  // namespace wan::hub
