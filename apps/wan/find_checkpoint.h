#pragma once
#include <filesystem>
#include <string>

#include "options.h"

namespace wan::app {

/// What --ckpt_dir (or `flag`, for messages) stands for: a path that exists as it is; else the model of this name that
/// `wan download` put into the cache. Throws UsageError with the command that fetches it if it is a model's name and
/// not there. A path that is neither is given back for the engine to refuse.
std::filesystem::path find_checkpoint(const std::string& given, const Environment& environment,
                                      const std::string& flag = "--ckpt_dir");

}  // namespace wan::app
