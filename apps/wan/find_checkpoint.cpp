#include "find_checkpoint.h"

#include <fmt/format.h>

#include "values.h"
#include "wan/download.h"

namespace wan::app {

std::filesystem::path find_checkpoint(const std::string& given, const Environment& environment,
                                      const std::string& flag) {
  std::error_code ignored;
  if (given.empty() || std::filesystem::exists(given, ignored) || !is_model_name(given)) return given;
  if (auto folder = find_model(given, environment.hub_cache)) return *folder;
  throw UsageError(
      fmt::format("{} {}: there is no such folder, and no such model in {} as a whole; fetch it with: wan download {}",
                  flag, given, environment.hub_cache.string(), shell_quote(given)));
}

}  // namespace wan::app
