#include "find_checkpoint.h"
#include "parse.h"

namespace wan::app {

std::function<DoctorCommandOptions()> add_doctor_flags(CLI::App& command, const Environment& environment) {
  struct Given {
    DoctorCommandOptions options;
    std::string checkpoint;
  };
  auto given = std::make_shared<Given>();
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.add_option("--ckpt_dir", given->checkpoint,
                     "Look at this checkpoint, or downloaded model, too: headers and shapes of all its tensors");
  command.add_option("--folder", given->options.doctor.folder, "Where videos would be written (default: here)");
  command.add_flag("--json", given->options.json, "Print JSON");
  command.footer(R"(
Changes nothing. Exit status: 0 nothing fails (there may be warnings), 1 something fails, 2 wrong arguments.

Examples:
  wan doctor
  wan doctor --ckpt_dir t2v-A14B
  wan doctor --json | jq '.[] | select(.health != "ok")')");
  return [given, &environment] {
    DoctorCommandOptions options = given->options;
    if (!given->checkpoint.empty()) options.doctor.ckpt_dir = find_checkpoint(given->checkpoint, environment);
    return options;
  };
}

}  // namespace wan::app
