#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "demo_model.h"
#include "flags.h"
#include "parse.h"
#include "prompts.h"
#include "shared_flags.h"
#include "values.h"
#include "wan/group.h"

namespace wan::app {
namespace {

// Flags of upstream's generate.py that only its other tasks read.
constexpr std::array kS2v = {"num_clip", "audio",      "tts_prompt_audio", "tts_prompt_text",
                             "tts_text", "pose_video", "infer_frames"};
constexpr std::array kS2vSwitches = {"enable_tts", "start_from_ref"};
constexpr std::array kAnimate = {"src_root_path", "refert_num"};
constexpr std::array kAnimateSwitches = {"replace_flag", "use_relighting_lora"};
constexpr std::array kPromptExtension = {"prompt_extend_method", "prompt_extend_model", "prompt_extend_target_lang"};

const char* const kFooter = R"(
The result's path is the last line on stdout. Progress goes to stderr: a bar on a terminal, plain lines elsewhere.
Exit status: 0 done, 1 failed, 2 wrong arguments, 130 or 143 stopped by Ctrl-C or SIGTERM (a second one stops at once).
Settings that are left out take upstream's values for the task.

Examples:
  wan generate --prompt "a red ball rolls from left to right"
  wan generate --size 1280*720 --ckpt_dir t2v-A14B --prompt "Two cats box on a stage."
  wan generate --ckpt_dir ./Wan2.2-I2V-A14B --image cat.jpg --prompt "The cat surfs." --save_file cat.mp4
  wan generate --ckpt_dir ./Wan2.2-TI2V-5B --size 704*1280 --frame_num 49 --base_seed 7 --prompt "Rain." --save_file frames/
  wan generate --ckpt_dir ./Wan2.2-TI2V-5B --prompt "Rain." --dry_run
  wan generate --gpus 2 --ckpt_dir t2v-A14B --prompt "Two cats box on a stage."
  torchrun --nproc_per_node 8 --no-python wan generate --ckpt_dir t2v-A14B --dit_fsdp --prompt "Two cats."
  wan generate --ckpt_dir ./Wan2.2-TI2V-5B --prompt_file prompts.txt --save_file clip.mp4 --json)";

void add_request_flags(Flags& f) {
  const std::string group = "What to make";
  f.value("prompt", "TEXT", "What the video shows", group);
  f.value("prompt_file", "FILE", "A text file with a prompt per line: a video each, numbered", group);
  f.value("negative_prompt", "TEXT", "What it must not show (default: upstream's)", group);
  f.value("image", "FILE", "The image to start from (i2v-A14B needs one, ti2v-5B may have one)", group);
  f.value("size", "W*H", "Pixels; with an image the area, the ratio is the image's", group);
  f.value("frame_num", "N", "Frames, 4n+1", group);
  f.value("fps", "X", "Frames per second (default: 16, ti2v-5B 24)", group);
  f.value("save_file", "PATH", ".mp4, .webm, .y4m, or a folder of PNG frames (default: a new name)", group);
  f.value("resume", "BOOL",
          "Go on where an interrupted run of the same command stopped, and save every step for it (default: about once "
          "a minute; false: never)",
          group);
  f.on_off("no_metadata", "Do not store the request in the file", group);
}

void add_model_flags(Flags& f) {
  const std::string group = "Model";
  f.value("ckpt_dir", "DIR", "The checkpoint folder, or the name of a downloaded model (default: the demo model)",
          group);
  f.value("task", "NAME", "t2v-A14B, i2v-A14B or ti2v-5B (default: what the checkpoint is)", group);
  f.value("device", "NAME", "auto, cpu or cuda (default: auto)", group);
  f.value("dtype", "NAME", "f32 or bf16: precision of the matrix work (default: f32 on the CPU, bf16 on a GPU)", group);
  f.value("threads", "N", "CPU threads (default: all)", group);
  f.on_off("convert_model_dtype", "Round all DiT weights to bf16 first", group);
  f.on_off("t5_cpu", "Keep the text encoder on the CPU", group);
  f.value("vram", "SIZE", "Memory of the GPU that may be used, such as 12GB (default: all of it)", group);
  f.value("ram", "SIZE", "Memory of the host that may be used (default: what is available)", group);
  f.value("offload_model", "BOOL", "Give the transformers' memory back before decoding", group);
}

void add_sampling_flags(Flags& f) {
  const std::string group = "Sampling";
  f.value("sample_solver", "NAME", "unipc, dpm++ or euler (default: unipc)", group);
  f.value("sample_steps", "N", "Denoising steps (default: 40, ti2v-5B 50)", group);
  f.value("sample_shift", "X", "Shift of the noise schedule (default: 12, 5 or 5)", group);
  f.value("sample_guide_scale", "X", "Guidance scale: one number, or LOW,HIGH by expert", group);
  f.value("base_seed", "N", "Seed; below 0 draws one and says which (default: -1)", group);
  f.value("rng", "NAME", "cuda or cpu: whose torch.randn the seed stands for (default: cuda)", group);
}

void add_file_flags(Flags& f) {
  const std::string group = "Intermediate results";
  f.value("noise", "FILE", "Start from the tensor 'noise' of a safetensors file", group);
  f.value("latents", "FILE", "Decode the tensor 'latents' of a safetensors file, nothing else", group);
  f.value("save_latents", "FILE", "Also keep the final latents", group);
  f.value("dump", "FILE", "Also keep every intermediate result", group);
}

void add_output_flags(Flags& f) {
  const std::string group = "Output";
  f.on_off("json", "Events as JSON lines on stdout instead of the progress bar", group);
  f.on_off("quiet", "No progress", group);
  f.on_off("dry_run", "Load nothing; print memory and time that it would take (see wan plan)", group);
}

void add_ranks_flags(Flags& f) {
  const std::string group = "Several GPUs (torchrun, mpirun and srun start ranks too)";
  f.value("gpus", "N", "Use so many of this machine's, a process each; with --device cpu, so many processes", group);
  f.value("ulysses_size", "N",
          "Ranks that share the tokens of a forward; the others take the second branch of the guidance (default: two "
          "halves, a branch each, where ranks are even and guidance is on)",
          group);
  f.on_off("dit_fsdp", "Keep one shard of the transformers on each rank", group);
  f.on_off("t5_fsdp", "Accepted: the text encoder's blocks are never all on a GPU", group);
}

void add_upstream_flags(Flags& f) {
  const std::string hidden;
  f.on_off("use_prompt_extend", "", hidden);
  for (const char* name : kPromptExtension) f.value(name, "TEXT", "", hidden);
  for (const char* name : kS2v) f.value(name, "TEXT", "", hidden);
  for (const char* name : kAnimate) f.value(name, "TEXT", "", hidden);
  for (const char* name : kS2vSwitches) f.on_off(name, "", hidden);
  for (const char* name : kAnimateSwitches) f.on_off(name, "", hidden);
}

constexpr const char* kTasks = "this version makes t2v-A14B, i2v-A14B and ti2v-5B";

void refuse_other_tasks(const Flags& f) {
  const auto refuse = [&](const auto& names, const char* task) {
    for (const char* name : names)
      if (f.given(name)) throw UsageError(fmt::format("--{} belongs to the task {}; {}", name, task, kTasks));
  };
  refuse(kS2v, "s2v-14B");
  refuse(kS2vSwitches, "s2v-14B");
  refuse(kAnimate, "animate-14B");
  refuse(kAnimateSwitches, "animate-14B");
  const std::string task = f.filled("task");
  if (task == "s2v-14B" || task == "animate-14B") throw UsageError(fmt::format("--task {}: {}", task, kTasks));
  if (f.given("use_prompt_extend"))
    throw UsageError("--use_prompt_extend is not available; write the longer prompt into --prompt and leave it out");
}

void read_ranks(const Flags& f, const Environment& environment, GenerateOptions& o) {
  o.gpus = f.parsed("gpus", parse_int);
  if (o.gpus && (*o.gpus < 1 || *o.gpus > 64)) throw UsageError(fmt::format("--gpus {}: expected 1 to 64", *o.gpus));
  o.sharing.ulysses_size = f.parsed("ulysses_size", parse_int);
  if (o.sharing.ulysses_size.value_or(1) < 1)
    throw UsageError(fmt::format("--ulysses_size {}: expected 1 or more", *o.sharing.ulysses_size));
  o.sharing.dit_fsdp = f.given("dit_fsdp");
  const auto is_one = [](const std::optional<double>& scale) { return scale && *scale == 1; };
  o.sharing.guided = !is_one(o.request.guidance_low) || !is_one(o.request.guidance_high);
  if (o.gpus.value_or(1) > 1 || is_one_of_several(environment.variables)) return;
  for (const char* name : {"t5_fsdp", "dit_fsdp"})
    if (f.given(name)) o.notes.push_back(fmt::format("--{} has no effect: one process does all the work", name));
  if (o.sharing.ulysses_size.value_or(1) > 1)
    o.notes.push_back("--ulysses_size has no effect: one process does all the work; see --gpus");
}

// Without a checkpoint a small demo model serves, so that the first command makes a clip.
void default_checkpoint(GenerateOptions& o) {
  if (!o.engine.ckpt_dir.empty()) return;
  const Task task = o.engine.task.value_or(o.request.image.empty() ? Task::t2v_A14B : Task::ti2v_5B);
  if (task == Task::i2v_A14B)
    throw UsageError("--ckpt_dir is missing; the built-in demo models are of the tasks t2v-A14B and ti2v-5B");
  o.engine.ckpt_dir = find_demo_model(task == Task::ti2v_5B ? "demo-ti2v" : "demo-t2v");
  if (o.engine.ckpt_dir.empty()) throw UsageError("--ckpt_dir is missing; expected the folder of a Wan2.2 checkpoint");
  o.notes.push_back(
      fmt::format("no --ckpt_dir: using the demo model in {}, which knows simple coloured shapes that move",
                  o.engine.ckpt_dir.string()));
}

Request request(const Flags& f) {
  Request r = sampling_request(f);
  r.negative_prompt = f.text("negative_prompt");
  r.image = f.filled("image");
  r.fps = f.parsed("fps", parse_number);
  r.seed = std::max<int64_t>(-1, f.parsed("base_seed", parse_int64).value_or(-1));
  if (const auto name = f.filled("rng"); !name.empty()) r.rng = parse_rng(name);
  r.noise = f.filled("noise");
  r.latents = f.filled("latents");
  r.save_latents = f.filled("save_latents");
  r.dump = f.filled("dump");
  r.metadata = !f.given("no_metadata");
  r.resume = f.parsed("resume", parse_bool);
  return r;
}

std::vector<std::string> prompts(const Flags& f) {
  if (f.given("prompt") && f.given("prompt_file")) throw UsageError("--prompt and --prompt_file: expected one of them");
  if (f.given("prompt_file")) {
    for (const char* name : {"latents", "save_latents", "dump"})
      if (f.given(name)) throw UsageError(fmt::format("--{} and --prompt_file: expected one of them", name));
    return read_prompt_file(f.filled("prompt_file"));
  }
  if (const auto prompt = f.text("prompt")) return {*prompt};
  if (f.given("latents")) return {""};
  throw UsageError("--prompt is missing; expected a description of the video, or --prompt_file");
}

}  // namespace

std::function<GenerateOptions()> add_generate_flags(CLI::App& command, const Environment& environment) {
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.footer(kFooter);
  auto flags = std::make_shared<Flags>(command);
  add_request_flags(*flags);
  add_model_flags(*flags);
  add_sampling_flags(*flags);
  add_file_flags(*flags);
  add_output_flags(*flags);
  add_ranks_flags(*flags);
  add_upstream_flags(*flags);
  return [flags, &environment] {
    const Flags& f = *flags;
    refuse_other_tasks(f);
    GenerateOptions o;
    o.engine = engine_options(f, environment);
    o.engine.offload_model = f.parsed("offload_model", parse_bool);
    o.request = request(f);
    o.prompts = prompts(f);
    o.save_file = f.filled("save_file");
    o.json = f.given("json");
    o.quiet = f.given("quiet");
    o.dry_run = f.given("dry_run");
    default_checkpoint(o);
    read_ranks(f, environment, o);
    return o;
  };
}

}  // namespace wan::app
