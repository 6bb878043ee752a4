// A stand-in for the library behind include/wan/wan.h: no model, steps that only sleep. With it the program's own
// behaviour (flags, progress, signals, exit status) is tested fast and at chosen times.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "wan/bench.h"
#include "wan/convert.h"
#include "wan/doctor.h"
#include "wan/plan.h"
#include "wan/wan.h"

namespace wan {
namespace {

template <class T, size_t N>
T parse_name(const std::string& name, const std::pair<T, const char*> (&names)[N]) {
  for (const auto& [value, text] : names)
    if (name == text) return value;
  throw Error(ErrorCode::invalid_argument, "[name] '" + name + "' is unknown");
}

template <class T, size_t N>
const char* name_of(T value, const std::pair<T, const char*> (&names)[N]) {
  for (const auto& [known, text] : names)
    if (value == known) return text;
  return "?";
}

constexpr std::pair<Task, const char*> kTasks[] = {
    {Task::t2v_A14B, "t2v-A14B"}, {Task::i2v_A14B, "i2v-A14B"}, {Task::ti2v_5B, "ti2v-5B"}};
constexpr std::pair<Precision, const char*> kPrecisions[] = {{Precision::f32, "f32"}, {Precision::bf16, "bf16"}};
constexpr std::pair<SolverKind, const char*> kSolvers[] = {
    {SolverKind::unipc, "unipc"}, {SolverKind::dpmpp, "dpm++"}, {SolverKind::euler, "euler"}};
constexpr std::pair<Rng, const char*> kRngs[] = {{Rng::cuda, "cuda"}, {Rng::cpu, "cpu"}};
constexpr std::pair<Stage, const char*> kStages[] = {{Stage::load, "load"},     {Stage::text, "text"},
                                                     {Stage::image, "image"},   {Stage::sample, "sample"},
                                                     {Stage::decode, "decode"}, {Stage::save, "save"}};

std::string describe(const EngineOptions& e, const Request& r) {
  nlohmann::ordered_json j = {{"task", e.task ? to_string(*e.task) : "t2v-A14B"},
                              {"prompt", r.prompt},
                              {"base_seed", r.seed},
                              {"dtype", to_string(e.precision.value_or(Precision::f32))},
                              {"device", e.device},
                              {"threads", e.threads},
                              {"convert_model_dtype", e.convert_model_dtype},
                              {"t5_cpu", e.t5_cpu},
                              {"image", r.image.string()},
                              {"noise", r.noise.string()},
                              {"latents", r.latents.string()},
                              {"save_latents", r.save_latents.string()},
                              {"dump", r.dump.string()},
                              {"rng", to_string(r.rng)},
                              {"size", fmt::format("{}*{}", *r.width, *r.height)},
                              {"frame_num", *r.frames},
                              {"sample_steps", *r.steps},
                              {"sample_solver", to_string(*r.solver)},
                              {"sample_shift", *r.shift},
                              {"sample_guide_scale", {*r.guidance_low, *r.guidance_high}}};
  if (r.negative_prompt) j["negative_prompt"] = *r.negative_prompt;
  if (e.offload_model) j["offload_model"] = *e.offload_model;
  const nlohmann::ordered_json all = {{"program", "wan.cpp"}, {"version", version()}, {"request", j}};
  return all.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

const char* version() noexcept { return "0.0.test"; }
const char* to_string(Task v) noexcept { return name_of(v, kTasks); }
const char* to_string(Precision v) noexcept { return name_of(v, kPrecisions); }
const char* to_string(SolverKind v) noexcept { return name_of(v, kSolvers); }
const char* to_string(Rng v) noexcept { return name_of(v, kRngs); }
const char* to_string(Stage v) noexcept { return name_of(v, kStages); }
Task parse_task(const std::string& n) { return parse_name(n, kTasks); }
Precision parse_precision(const std::string& n) { return parse_name(n, kPrecisions); }
SolverKind parse_solver(const std::string& n) { return parse_name(n, kSolvers); }
Rng parse_rng(const std::string& n) { return parse_name(n, kRngs); }

struct Engine::Impl {
  EngineOptions options;
};

Engine::Engine(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Engine Engine::open(const EngineOptions& options) {
  if (!std::filesystem::is_directory(options.ckpt_dir))
    throw Error(ErrorCode::bad_file, "[checkpoint] " + options.ckpt_dir.string() + " is not a folder");
  return Engine(std::make_unique<Impl>(Impl{options}));
}

const char* to_string(Health health) noexcept { return health == Health::failure ? "failure" : "ok"; }

std::vector<Finding> examine(const DoctorOptions& options) {
  std::vector<Finding> findings = {{"CPU", Health::ok, "2 threads", "", ""}};
  if (options.folder == "broken") findings.push_back({"disk", Health::failure, "full", "1 GB", "make room"});
  return findings;
}

std::shared_ptr<const engine::Ranks> share_work(const Group&, const Sharing&) { return nullptr; }

Task Engine::task() const noexcept { return impl_->options.task.value_or(Task::t2v_A14B); }

Request Engine::prepare(const Request& request) const {
  Request r = request;
  r.width = r.width.value_or(1280);
  r.height = r.height.value_or(720);
  r.frames = r.frames.value_or(81);
  r.fps = r.fps.value_or(16);
  r.solver = r.solver.value_or(SolverKind::unipc);
  r.steps = r.steps.value_or(40);
  r.shift = r.shift.value_or(12);
  r.guidance_low = r.guidance_low.value_or(3);
  r.guidance_high = r.guidance_high.value_or(4);
  if (r.seed < 0) r.seed = 4711;
  if (*r.steps < 1 || *r.steps > 1000)
    throw Error(ErrorCode::invalid_argument, fmt::format("[steps] {}; expected 1..1000", *r.steps));
  return r;
}

Result Engine::generate(const Request& request, const Hooks& hooks) {
  const Request r = prepare(request);
  const char* text = std::getenv("WAN_TEST_STEP_MS");
  const int step_ms = text != nullptr ? std::atoi(text) : 2;
  const std::filesystem::path temporary = r.output.string() + ".partial";
  if (!(std::ofstream(temporary) << "half"))
    throw Error(ErrorCode::bad_file, "[output] " + r.output.string() + " cannot be written");
  if (r.prompt == "note") hooks.on_note("a note with \x1b[31m in it");
  const auto start = std::chrono::steady_clock::now();
  const auto stage = [&](Stage which, int64_t total) {
    for (int64_t done = 0; done <= total; ++done) {
      Progress p{.stage = which, .done = done, .total = total};
      if (which == Stage::sample) p.expert = done * 2 < total ? "high" : "low";
      if (done > 0) {
        p.seconds_per_unit = step_ms / 1000.0;
        p.seconds_left = p.seconds_per_unit * static_cast<double>(total - done);
      }
      p.elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      hooks.on_progress(p);
      if (done == total) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(which == Stage::sample ? step_ms : 2));
      if (hooks.cancel->load()) {
        std::filesystem::remove(temporary);
        throw Error(ErrorCode::cancelled, "[generate] stopped");
      }
    }
  };
  stage(Stage::load, 2);
  stage(Stage::sample, *r.steps);
  if (r.prompt == "fail") {
    std::filesystem::remove(temporary);
    throw Error(ErrorCode::device, "[sample] NaN in the latents at step 3");
  }
  stage(Stage::decode, 21);
  Result result{.output = r.output,
                .seed = r.seed,
                .width = *r.width,
                .height = *r.height,
                .frames = *r.frames,
                .fps = *r.fps,
                .seconds = 1.5,
                .metadata = describe(impl_->options, r)};
  std::ofstream(temporary, std::ios::trunc) << result.metadata;
  std::filesystem::rename(temporary, r.output);
  return result;
}

std::optional<std::string> read_metadata(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) throw Error(ErrorCode::bad_file, "[metadata] " + file.string() + " cannot be opened");
  std::string text((std::istreambuf_iterator<char>(in)), {});
  if (text.empty()) return std::nullopt;
  return text;
}

// One part of two families with round numbers, on a GPU whose rates are known.
BenchReport run_bench(const BenchOptions& o) {
  if (o.on_note) o.on_note("dit: made up");
  BenchReport report{.task = o.task,
                     .dimensions = o.ckpt_dir.empty() ? "official" : o.ckpt_dir.string(),
                     .width = o.width.value_or(1280),
                     .height = o.height.value_or(720),
                     .frames = o.frames.value_or(81),
                     .device = "NVIDIA X1",
                     .precision = o.precision.value_or(Precision::bf16),
                     .threads = o.threads,
                     .runs = o.runs,
                     .rates = "made up"};
  BenchPart part{.name = "dit", .what = "one forward", .median_seconds = 2, .seconds = {1, 2, 3}, .tflop = 100};
  part.floor_seconds = 1.5;
  part.weight_bytes = 1'000'000'000;
  part.peak_bytes = 3'000'000'000;
  part.layers = 40;
  part.layers_run = o.layers.value_or(40);
  part.families = {{"linear", 10, 1.5, 100, 1.25}, {"norms", 4, 0.5, 0, 0.25}};
  part.ops = {{"norm_modulate f32 9x8", 4, 0.5, 0, 0.25}};
  report.parts = {part};
  return report;
}

double LoadReport::ratio() const noexcept { return 1.25; }

LoadReport run_load_bench(const BenchOptions& o) {
  return {.checkpoint = o.ckpt_dir.string(),
          .device = "NVIDIA X1",
          .threads = 8,
          .runs = o.runs,
          .transformers = 2,
          .file_bytes = 4'000'000'000,
          .device_bytes = 2'000'000'000,
          .load_seconds = 0.5,
          .first_load_seconds = 1,
          .read_seconds = 0.4,
          .first_read_seconds = 2,
          .copy_seconds = 0.1,
          .open_device_seconds = 0.25,
          .open_checkpoint_seconds = 0.125,
          .open_tokenizer_seconds = 0.125};
}

// What came, in a plan with round numbers: one strategy that fits, one that does not and one of a later version.
PlanReport make_plan(const PlanOptions& o) {
  PlanReport r;
  r.task = o.engine.task.value_or(Task::t2v_A14B);
  r.dimensions = o.engine.ckpt_dir.empty() ? "official" : o.engine.ckpt_dir.string();
  r.width = o.request.width.value_or(1280);
  r.height = o.request.height.value_or(720);
  r.frames = o.request.frames.value_or(81);
  r.steps = o.request.steps.value_or(40);
  r.tokens = 75600;
  r.guided = o.request.guidance_low.value_or(3) != 1;
  r.device = o.gpu.empty() ? "CPU" : o.gpu;
  r.gpus = o.gpu.empty() ? 0 : std::max(o.gpus, 1);
  r.vram = o.engine.vram.value_or(48'000'000'000);
  r.ram = o.engine.ram.value_or(0);
  r.link = o.link;
  r.link_bytes_per_second = 25e9;
  const auto strategy = [](const char* name, bool available, bool fits) {
    PlanStrategy s;
    s.name = name;
    s.available = available;
    s.fits = fits;
    s.gpu_peak = 45'100'000'000;
    s.gpu_minimum = 6'400'000'000;
    s.host_peak = 28'000'000'000;
    s.step_seconds = 130.4;
    s.total_seconds = 5220;
    s.stages = {{Stage::load, 0, 0, 41.5}, {Stage::sample, 45'100'000'000, 28'000'000'000, 5160}};
    return s;
  };
  r.strategies = {strategy("resident", true, false), strategy("streamed", true, true),
                  strategy("guidance-parallel", false, true)};
  r.chosen = 1;
  r.why = "made up";
  r.changes = {{"832x480", "--size 832*480", true, 4'000'000'000, 3'000'000'000, 30, 1200}};
  r.notes = {"a note"};
  return r;
}

std::vector<std::string> known_gpus() { return {"A40"}; }

ConvertResult convert(const ConvertOptions& options, const ConvertHooks&) { return {options.output, 1, 100, 100, 1}; }
ConvertResult verify_converted(const std::filesystem::path& folder, const ConvertHooks&) { return {folder, 1, 100}; }

}  // namespace wan
