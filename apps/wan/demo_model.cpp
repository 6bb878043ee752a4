#include "demo_model.h"

namespace wan::app {

std::filesystem::path find_demo_model(const std::string& name) {
  std::error_code ignored;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  for (const std::filesystem::path& models :
       {program.parent_path().parent_path() / "share/wan/models", std::filesystem::path(WAN_SOURCE_MODELS)}) {
    const std::filesystem::path demo = models / name;
    if (std::filesystem::is_directory(demo, ignored)) return demo;
  }
  return {};
}

}  // namespace wan::app
