#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "wan/wan.h"

namespace wan::app {

/// A prompt per line; blank lines are skipped, CR LF and a byte order mark are fine. Throws Error(bad_file) when the
/// file cannot be read and UsageError when it has no prompt or is larger than 16 MB.
std::vector<std::string> read_prompt_file(const std::filesystem::path& file);

/// The name of a video when none was given: task, size, start of the prompt and the time, as upstream names it but
/// with nothing in it that a shell or a file system minds. `time` such as 20260131_142500.
std::filesystem::path default_name(const Request& prepared, Task task, const std::string& time);

/// clip.mp4 -> clip_0003.mp4; frames/ -> frames_0003/. number counts from 1.
std::filesystem::path numbered(const std::filesystem::path& file, size_t number);

}  // namespace wan::app
