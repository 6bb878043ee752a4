#include <memory>

#include "flags.h"
#include "parse.h"
#include "shared_flags.h"

namespace wan::app {
namespace {

const char* const kFooter = R"(
Nothing is loaded: the models' own code runs on memory that does not exist, and its work is timed at the rates of the GPU.
Rates are measured on the H100; on other GPUs times are estimates. Memory is as the driver counts it.
Sizes: 12GB, 11.5GiB, 500MB, bytes. GPUs: A40, A100-40GB, A100-80GB, RTX3090, RTX4090, RTX5090, A6000, L40S, H100, H200, B200;
A40:2 are two of them. Links: pcie3 to pcie6, pcie4x8, nvlink.

Examples:
  wan plan
  wan plan --task t2v-A14B --size 1280*720 --gpu A40:2 --vram 46GB --ram 64GB --link pcie4
  wan plan --task ti2v-5B --gpu RTX3090 --vram 12GB
  wan plan --ckpt_dir ./Wan2.2-I2V-A14B --size 832*480 --frame_num 49 --sample_steps 20 --json)";

void add_request_flags(Flags& f) {
  const std::string group = "What to make";
  f.value("task", "NAME", "t2v-A14B, i2v-A14B or ti2v-5B (default: what the checkpoint is, or t2v-A14B)", group);
  f.value("ckpt_dir", "DIR",
          "Take dimensions and dtypes of this checkpoint, or downloaded model (default: the official ones)", group);
  f.value("size", "W*H", "Pixels (default: the task's)", group);
  f.value("frame_num", "N", "Frames, 4n+1 (default: the task's)", group);
  f.on_off("image", "ti2v-5B: start from an image", group);
  f.value("sample_solver", "NAME", "unipc, dpm++ or euler (default: unipc)", group);
  f.value("sample_steps", "N", "Denoising steps (default: 40, ti2v-5B 50)", group);
  f.value("sample_shift", "X", "Shift of the noise schedule (default: 12, 5 or 5)", group);
  f.value("sample_guide_scale", "X", "Guidance scale: one number, or LOW,HIGH by expert; 1: no guidance", group);
  f.value("dtype", "NAME", "f32 or bf16 (default: f32 on the CPU, bf16 on a GPU)", group);
  f.on_off("t5_cpu", "Keep the text encoder on the CPU", group);
  f.on_off("convert_model_dtype", "Round all DiT weights to bf16 first", group);
}

void add_machine_flags(Flags& f) {
  const std::string group = "Where (default: this machine)";
  f.value("gpu", "NAME[:N]", "A GPU, or N of them", group);
  f.value("vram", "SIZE", "Memory that may be used of each GPU (default: what it has)", group);
  f.value("ram", "SIZE", "Memory of the host (default: what is available here; not looked at with --gpu)", group);
  f.value("link", "NAME", "What host and GPUs talk over (default: as the GPU's maker connects it)", group);
  f.value("device", "NAME", "auto, cpu or cuda (default: auto)", group);
  f.value("threads", "N", "CPU threads (default: all)", group);
}

/// "A40" or "A40:2".
void parse_gpu(const std::string& text, PlanOptions& o) {
  const size_t cut = text.find(':');
  o.gpu = text.substr(0, cut);
  if (o.gpu.empty()) throw UsageError(fmt::format("--gpu '{}': expected a name such as A40 or A40:2", text));
  if (cut == std::string::npos) return;
  o.gpus = parse_int("--gpu", text.substr(cut + 1));
  if (o.gpus < 1 || o.gpus > 64) throw UsageError(fmt::format("--gpu '{}': expected 1 to 64 GPUs", text));
}

}  // namespace

std::function<PlanCommandOptions()> add_plan_flags(CLI::App& command, const Environment& environment) {
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.footer(kFooter);
  auto flags = std::make_shared<Flags>(command);
  add_request_flags(*flags);
  add_machine_flags(*flags);
  flags->on_off("json", "One JSON object on stdout instead of the tables", "Output");
  return [flags, &environment] {
    const Flags& f = *flags;
    PlanCommandOptions o;
    o.plan.engine = engine_options(f, environment);
    o.plan.request = sampling_request(f);
    o.plan.from_image = f.given("image");
    if (const auto gpu = f.filled("gpu"); !gpu.empty()) parse_gpu(gpu, o.plan);
    o.plan.link = f.filled("link");
    o.json = f.given("json");
    return o;
  };
}

}  // namespace wan::app
