#pragma once
#include <string>

#include "engine/prepare.h"

namespace wan::engine {

/// The complete request as JSON, one member per command-line flag (so that the command can be told from it), plus the
/// program's version, the model's fingerprint and the video's size. Holds no time and no machine: equal requests give
/// equal bytes. See docs/metadata.md.
std::string metadata_json(const PreparedRequest& prepared, const EngineOptions& options, Task task,
                          const std::string& fingerprint);

}  // namespace wan::engine
