#include <memory>

#include "find_checkpoint.h"
#include "flags.h"
#include "parse.h"

namespace wan::app {
namespace {

const char* const kFooter = R"(
SOURCE is a checkpoint folder in the official or in diffusers' layout (or the name of a downloaded model). OUTPUT is a new
folder; it is the last line on stdout, for --ckpt_dir. Progress goes to stderr. Memory stays small whatever the size.
Each file appears whole or not at all, and its sha256 is recorded in OUTPUT/wan-convert.json: the same command after a
kill or a crash keeps the files that have it, and --verify compares all. Tensors that keep their type keep their bytes.
Exit status: 0 done, 1 failed (or --verify found a difference), 2 wrong arguments, 130 or 143 stopped by Ctrl-C or SIGTERM.

Examples:
  wan convert t2v-A14B ./Wan2.2-T2V-bf16 --dtype bf16
  wan convert ./Wan2.2-TI2V-5B ./ti2v-diffusers --layout diffusers --shard_size 5GB
  wan convert ./ti2v-diffusers ./ti2v-official
  wan convert --verify ./Wan2.2-T2V-bf16
  wan generate --ckpt_dir ./ti2v-diffusers --prompt "Two cats box on a stage.")";

CheckpointLayout parse_layout(const std::string& name) {
  if (name.empty() || name == "official") return CheckpointLayout::official;
  if (name == "diffusers") return CheckpointLayout::diffusers;
  throw UsageError(fmt::format("--layout '{}': expected official or diffusers", name));
}

bool parse_is_bf16(const std::string& name) {
  if (name.empty() || name == "keep") return false;
  if (name == "bf16") return true;
  throw UsageError(fmt::format("--dtype '{}': expected keep or bf16", name));
}

}  // namespace

std::function<ConvertCommandOptions()> add_convert_flags(CLI::App& command, const Environment& environment) {
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.footer(kFooter);
  auto folders = std::make_shared<std::vector<std::string>>();
  command.add_option("FOLDER", *folders, "SOURCE and OUTPUT; with --verify the folder to compare")->required();
  auto flags = std::make_shared<Flags>(command);
  flags->value("layout", "NAME", "official or diffusers (default: official)", "What");
  flags->value("dtype", "NAME",
               "keep, or bf16: matrices of transformers and text encoder; what is always computed in float32 stays so "
               "(default: keep)",
               "What");
  flags->value("shard_size", "BYTES", "At most so much a file, such as 5GB (default: one file per model)", "What");
  flags->on_off("verify", "Write nothing; compare a converted folder with the recorded sha256", "What");
  flags->on_off("json", "Events as JSON lines on stdout instead of the progress bar", "How");
  flags->on_off("quiet", "No progress", "How");
  return [flags, folders, &environment] {
    const Flags& f = *flags;
    ConvertCommandOptions o;
    o.verify = f.given("verify");
    const size_t expected = o.verify ? 1 : 2;
    if (folders->size() != expected)
      throw UsageError(fmt::format("{} folders given; expected {}", folders->size(),
                                   o.verify ? "one with --verify" : "two: SOURCE and OUTPUT"));
    o.convert.output = folders->back();
    if (folders->back().empty() || folders->front().empty()) throw UsageError("a folder's name is empty");
    if (!o.verify) o.convert.source = find_checkpoint(folders->front(), environment, "SOURCE");
    o.convert.layout = parse_layout(f.filled("layout"));
    o.convert.bf16 = parse_is_bf16(f.filled("dtype"));
    o.convert.shard_bytes = f.parsed("shard_size", parse_bytes).value_or(0);
    o.json = f.given("json");
    o.quiet = f.given("quiet");
    return o;
  };
}

}  // namespace wan::app
