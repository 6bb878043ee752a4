#include "parse.h"

namespace wan::app {

std::function<ShowOptions()> add_show_flags(CLI::App& command) {
  auto options = std::make_shared<ShowOptions>();
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.add_option("FILE", options->file, "A video or a folder of frames that wan made")->required();
  command.add_flag("--json", options->json, "Print the stored JSON alone");
  command.footer(R"(
Examples:
  wan show cat.mp4
  wan show cat.mp4 --json | jq .request.base_seed)");
  return [options] { return *options; };
}

}  // namespace wan::app
