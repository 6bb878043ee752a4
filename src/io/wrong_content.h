#pragma once
#include <string>

#include "io/mapped_file.h"

namespace wan::io {

/// Why a file is not the checkpoint that its name promises, for the common accidents: an empty file, a Git LFS pointer,
/// a saved web page, another checkpoint format. An empty string if its first bytes say nothing.
std::string explain_wrong_content(const MappedFile& file);

}  // namespace wan::io
