#include <memory>

#include "find_checkpoint.h"
#include "flags.h"
#include "parse.h"

namespace wan::app {
namespace {

const char* const kFooter = R"(
Weights and inputs are random and made on the device: no checkpoint is needed. Every part warms up, runs N times, and runs
once more with a clock around every op. The table is on stdout; what is being done goes to stderr.
'of floor' is the share of the least time that the GPU's own libraries need for the same work, where their rates are known.

Examples:
  wan bench
  wan bench --task ti2v-5B --size 704*1280 --frames 121 --what dit --json
  wan bench --size 832*480 --what dit --layers 4
  wan bench --what load --ckpt_dir Wan2.2-T2V-A14B
  wan bench --task i2v-A14B --what vae --device cpu --size 128*128 --frames 5 --dtype bf16)";

void add_what_flags(Flags& f) {
  const std::string group = "What to run";
  f.value("task", "NAME", "t2v-A14B, i2v-A14B or ti2v-5B (default: t2v-A14B)", group);
  f.value("size", "W*H", "Pixels (default: the task's)", group);
  f.value("frames", "N", "Frames, 4n+1 (default: the task's)", group);
  f.value("what", "NAME", "dit, vae, t5 or all (default: all); or load: the transformers of --ckpt_dir to the device",
          group);
  f.value("vae_bands", "N", "Bands of rows that the VAE works in (default: 1)", group);
  f.value("layers", "N", "Run only the first N blocks of DiT and text encoder, and extrapolate", group);
  f.value("ckpt_dir", "DIR", "Take the dimensions of this checkpoint, or downloaded model (default: the official ones)",
          group);
}

void add_how_flags(Flags& f) {
  const std::string group = "How";
  f.value("device", "NAME", "auto, cpu or cuda (default: auto)", group);
  f.value("dtype", "NAME", "f32 or bf16: precision of the matrix work (default: f32 on the CPU, bf16 on a GPU)", group);
  f.value("threads", "N", "CPU threads (default: all)", group);
  f.value("runs", "N", "Timed runs; the median counts (default: 3)", group);
  f.on_off("ops", "Also a row for every op and size (JSON has them always)", group);
  f.on_off("json", "One JSON object on stdout instead of the table", group);
}

int positive(const Flags& f, const std::string& name, int otherwise) {
  const int value = f.parsed(name, parse_int).value_or(otherwise);
  if (value < 1) throw UsageError(fmt::format("--{} {}: expected 1 or more", name, value));
  return value;
}

void choose_parts(const Flags& f, BenchCommandOptions& o) {
  const std::string what = f.filled("what");
  if (what.empty() || what == "all") return;
  o.bench.dit = what == "dit";
  o.bench.vae = what == "vae";
  o.bench.t5 = what == "t5";
  o.load = what == "load";
  if (!o.bench.dit && !o.bench.vae && !o.bench.t5 && !o.load)
    throw UsageError(fmt::format("--what '{}': expected dit, vae, t5, load or all", what));
  if (o.load && f.filled("ckpt_dir").empty())
    throw UsageError("--what load: --ckpt_dir is missing; expected the folder of a checkpoint");
}

}  // namespace

std::function<BenchCommandOptions()> add_bench_flags(CLI::App& command, const Environment& environment) {
  command.set_help_flag("-h,--help", "Print this help and exit");
  command.footer(kFooter);
  auto flags = std::make_shared<Flags>(command);
  add_what_flags(*flags);
  add_how_flags(*flags);
  return [flags, &environment] {
    const Flags& f = *flags;
    BenchCommandOptions o;
    if (const auto name = f.filled("task"); !name.empty()) o.bench.task = parse_task(name);
    choose_parts(f, o);
    if (const auto size = f.parsed("size", parse_size)) {
      o.bench.width = size->first;
      o.bench.height = size->second;
    }
    o.bench.frames = f.parsed("frames", parse_int);
    if (f.given("vae_bands")) o.bench.vae_bands = positive(f, "vae_bands", 1);
    if (f.given("layers")) o.bench.layers = positive(f, "layers", 1);
    o.bench.ckpt_dir = find_checkpoint(f.filled("ckpt_dir"), environment);
    if (const auto name = f.filled("device"); !name.empty()) o.bench.device = name;
    if (const auto name = f.filled("dtype"); !name.empty()) o.bench.precision = parse_precision(name);
    o.bench.threads = f.threads();
    o.bench.runs = positive(f, "runs", o.bench.runs);
    o.ops = f.given("ops");
    o.json = f.given("json");
    return o;
  };
}

}  // namespace wan::app
