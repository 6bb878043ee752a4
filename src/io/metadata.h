#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace wan::io {

/// The text that a VideoWriter stored (VideoParams::metadata) in an mp4, webm or y4m file, a folder of PNG frames or
/// one of its frames; nullopt if there is none. A comment that another program wrote into an mp4 or webm file counts as
/// none unless it begins with '{'. Throws bad_file if the file cannot be read, is damaged or of another format;
/// unsupported for mp4 and webm in a build without FFmpeg.
std::optional<std::string> read_metadata(const std::filesystem::path& path);

}  // namespace wan::io
