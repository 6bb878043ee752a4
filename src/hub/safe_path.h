#pragma once
#include <span>
#include <string>
#include <string_view>

namespace wan::hub {

/// Refuses a file name of a repository that could end up outside the folder it is meant for, or on top of this
/// program's and git's own files: absolute, "..", ".", empty parts, backslashes, drives, control characters, parts of
/// more than 255 bytes, ".cache" and ".git". Throws comm: a hub that names such a file is broken or hostile.
void check_path(std::string_view path, const std::string& where);

/// No two paths the same, and none a folder of another.
void check_distinct(std::span<const std::string> paths, const std::string& where);

}  // namespace wan::hub
