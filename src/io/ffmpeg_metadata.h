#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace wan::io::ffmpeg {

/// The tag "comment" of an mp4 or webm file. Throws bad_file, or unsupported in a build without FFmpeg.
std::optional<std::string> read_comment(const std::filesystem::path& path);

}  // namespace wan::io::ffmpeg
