#include "wan/plan.h"

#include <algorithm>

#include "core/error.h"
#include "core/gpu.h"
#include "engine/fit.h"
#include "engine/generation_spec.h"
#include "engine/host.h"
#include "engine/strategies.h"
#include "pipeline/task.h"

namespace wan {
namespace {

using namespace engine;
constexpr auto invalid = ErrorCode::invalid_argument;

/// A machine, and what is to be said about it.
struct FoundMachine {
  PlanMachine machine;
  bool estimate = true;
  std::vector<std::string> notes;
};

void use_gpu(FoundMachine& found, const GpuModel& gpu, const PlanOptions& o) {
  found.machine.rates = rates_of(gpu);
  found.machine.link = o.link.empty() ? default_link(gpu) : parse_link(o.link, &gpu);
  found.estimate = !gpu.measured;
}

/// The GPUs of this machine; none where the CPU is to compute.
std::vector<GpuInfo> gpus_here(const std::string& device) {
  require(device == "auto" || device == "cpu" || device == "cuda", invalid,
          "[--device] '{}' is unknown; expected auto, cpu or cuda", device);
  if (device == "cpu") return {};
  try {
    std::vector<GpuInfo> gpus = find_gpus();
    require(!gpus.empty() || device == "auto", ErrorCode::device,
            "[--device cuda] no NVIDIA GPU was found; describe one with --gpu to plan for it");
    return gpus;
  } catch (const Error& error) {
    if (device == "cuda" || error.code() != ErrorCode::unsupported) throw;
    return {};
  }
}

FoundMachine find_machine(const PlanOptions& o, int threads) {
  FoundMachine found;
  PlanMachine& m = found.machine;
  require(o.gpus >= 0 && o.gpus <= 64, invalid, "[--gpu] {} GPUs; expected 1 to 64", o.gpus);
  for (const auto& [flag, bytes] : {std::pair("--vram", o.engine.vram), std::pair("--ram", o.engine.ram)})
    require(!bytes || *bytes > 0, invalid, "[{}] {}; expected some bytes, such as 24GB", flag, bytes.value_or(0));
  if (!o.gpu.empty()) {
    const GpuModel* gpu = find_gpu_model(o.gpu);
    require(gpu != nullptr, invalid, "[--gpu] '{}' is not known; expected one of {}", o.gpu,
            fmt::join(known_gpus(), ", "));
    m.device = gpu->name;
    m.gpus = std::max(o.gpus, 1);
    m.vram = o.engine.vram.value_or(gpu->memory);
    m.ram = o.engine.ram.value_or(0);
    use_gpu(found, *gpu, o);
    return found;
  }
  m.ram = o.engine.ram.value_or(usable_memory());
  const std::vector<GpuInfo> here = gpus_here(o.engine.device);
  if (here.empty()) {
    require(!o.engine.vram && o.link.empty() && o.gpus == 0, invalid,
            "[{}] the CPU computes here; describe a GPU with --gpu to plan for one",
            o.engine.vram     ? "--vram"
            : !o.link.empty() ? "--link"
                              : "--gpu");
    m.rates = cpu_rates(threads);
    found.notes.emplace_back("times on the CPU are scaled from two cores of an EPYC (Zen 4)");
    return found;
  }
  m.device = here.front().name;
  m.gpus = o.gpus > 0 ? o.gpus : static_cast<int>(here.size());
  m.vram = o.engine.vram.value_or(here.front().memory_bytes);
  const GpuModel* gpu = find_gpu_model(m.device);
  if (!gpu) {
    gpu = find_gpu_model("A40");
    found.notes.push_back(fmt::format("{} is not in this program's table: times are an A40's", m.device));
  }
  use_gpu(found, *gpu, o);
  return found;
}

constexpr int64_t area_480p = 832 * 480;

GenerationSpec distilled(GenerationSpec s) {
  s.steps = std::min<int64_t>(s.steps, 4);
  s.guidance_low = s.guidance_high = 1;
  return s;
}

/// Settings that cost less than the spec's; those that would change nothing are left out.
std::vector<SpecChange> cheaper(const GenerationSpec& s) {
  std::vector<SpecChange> list;
  if (s.decode_only) return list;
  const bool smaller = s.width * s.height > area_480p * 11 / 10, longer = s.frames > 41;
  const bool many_steps = s.steps > 4 || s.guided();
  const auto size_flag = [](const GenerationSpec& c) { return fmt::format("--size {}*{}", c.width, c.height); };
  const std::string few_steps = "--sample_steps 4 --sample_guide_scale 1";
  const auto add = [&](std::string what, std::string flags, GenerationSpec spec) {
    list.push_back({std::move(what), std::move(flags), std::move(spec)});
  };
  const GenerationSpec small = with_area(s, area_480p);
  GenerationSpec brief = s;
  brief.frames = s.dimensions.vae.video_frames(s.dimensions.vae.latent_frames(41));
  if (s.compute == DType::f32) {
    GenerationSpec c = s;
    c.compute = DType::bf16;
    add("bf16", "--dtype bf16", std::move(c));
  }
  if (s.cuda && !s.text_on_cpu) {
    GenerationSpec c = s;
    c.text_on_cpu = true;
    add("text encoder on the CPU", "--t5_cpu", std::move(c));
  }
  if (longer) add(fmt::format("{} frames", brief.frames), fmt::format("--frame_num {}", brief.frames), brief);
  if (smaller) add(fmt::format("{}x{}", small.width, small.height), size_flag(small), small);
  if (!many_steps) return list;
  add("few-step distilled model: 4 steps, no guidance", few_steps, distilled(s));
  if (smaller)
    add(fmt::format("the same at {}x{}", small.width, small.height), few_steps + " " + size_flag(small),
        distilled(small));
  if (smaller && longer) {
    GenerationSpec c = distilled(small);
    c.frames = brief.frames;
    const std::string flags = fmt::format("{} {} --frame_num {}", few_steps, size_flag(c), brief.frames);
    add(fmt::format("the same with {} frames", brief.frames), flags, std::move(c));
  }
  return list;
}

PlanChange planned(const SpecChange& change, PlanMachine m) {
  if (!change.spec.cuda && m.gpus > 0) {  // the CPU instead of the GPU
    m.gpus = 0;
    m.rates = cpu_rates(change.spec.threads);
  }
  const MemoryPlan plan(change.spec);
  const TimeModel times(change.spec, m.rates, m.link);
  const Placement p = plan.place(m.budget() > 0 ? m.budget() : MemoryPlan::no_limit, m.host_budget());
  const Seconds t = times.of(plan, p);
  return {change.what, change.flags, p.fits, p.device.most(), plan.minimum(), t.step, t.all()};
}

std::string reason(const PlanReport& r) {
  if (r.chosen < 0) return "nothing that this version can do fits; see the changes";
  const PlanStrategy& s = r.strategies[static_cast<size_t>(r.chosen)];
  if (s.gpus == 0) return "the CPU computes";
  if (s.name == "resident") return "all weights fit into one GPU's memory";
  if (s.name == "one expert at a time") return "one expert's weights fit into the GPU's memory, two do not";
  if (s.name == "decode only") return "only the VAE is needed";
  return fmt::format("not all weights fit: blocks arrive while earlier ones compute; {}", s.note);
}

/// What brings a long request to about three minutes.
std::string three_minutes(const PlanReport& r) {
  constexpr double soon = 200;
  if (r.chosen < 0 || r.strategies[static_cast<size_t>(r.chosen)].total_seconds <= soon) return {};
  const auto fast =
      std::ranges::find_if(r.changes, [](const PlanChange& c) { return c.fits && c.total_seconds <= soon; });
  if (fast == r.changes.end()) return "no change in this list brings it to about three minutes here";
  return fmt::format("about three minutes here: {} ({:.0f} s)", fast->flags, fast->total_seconds);
}

void describe(PlanReport& r, const GenerationSpec& s) {
  r.task = s.task;
  r.width = static_cast<int>(s.width);
  r.height = static_cast<int>(s.height);
  r.frames = static_cast<int>(s.frames);
  r.steps = s.decode_only ? 0 : static_cast<int>(s.steps);
  r.tokens = s.tokens();
  r.guided = s.guided();
  r.precision = s.compute == DType::bf16 ? Precision::bf16 : Precision::f32;
  r.threads = s.threads;
}

}  // namespace

std::vector<std::string> known_gpus() {
  std::vector<std::string> names;
  for (const GpuModel& gpu : gpu_models()) names.emplace_back(gpu.name);
  return names;
}

PlanReport make_plan(const PlanOptions& o) {
  require(o.engine.threads >= 0 && o.engine.threads <= 4096, invalid,
          "[--threads] {} is out of range; expected 0 (all) to 4096", o.engine.threads);
  const int threads = o.engine.threads > 0 ? o.engine.threads : usable_cpus();
  const FoundMachine found = find_machine(o, threads);
  const PlanMachine& m = found.machine;
  const bool gpu = m.gpus > 0;
  const Precision precision = o.engine.precision.value_or(gpu ? Precision::bf16 : Precision::f32);
  const ComputePlace place{precision == Precision::bf16 ? DType::bf16 : DType::f32, gpu, o.engine.t5_cpu,
                           o.engine.convert_model_dtype, threads};

  std::optional<ModelsOnDisk> models;
  GenerationSpec spec;
  if (o.engine.ckpt_dir.empty()) {
    const Task task = o.engine.task.value_or(Task::t2v_A14B);
    spec = generation_spec(official_dimensions(task), task, pipeline::defaults_of(task), o.request, place);
  } else {
    models.emplace(o.engine.ckpt_dir, o.engine.task);
    const Dimensions dimensions{models->dit_config(), models->umt5_config(), models->vae_config()};
    if (o.request.image.empty() && o.request.latents.empty()) {
      spec = generation_spec(dimensions, models->task(), models->defaults(), o.request, place);
      spec.two_experts = models->files().two_experts;
      spec.files = &models->files();
    } else {
      Request request = o.request;
      for (std::filesystem::path* written : {&request.output, &request.save_latents, &request.dump}) written->clear();
      spec = generation_spec(*models, prepare(*models, request), place);
    }
  }

  require(!o.from_image || spec.task != Task::t2v_A14B, invalid,
          "[--image] t2v-A14B makes videos from text alone; plan for i2v-A14B or ti2v-5B");
  spec.image = spec.image || o.from_image;

  const MemoryPlan plan(spec);
  const TimeModel times(spec, m.rates, m.link);
  PlanReport r;
  describe(r, spec);
  r.dimensions = o.engine.ckpt_dir.empty() ? "official" : o.engine.ckpt_dir.string();
  r.device = m.device;
  r.gpus = m.gpus;
  r.estimate = found.estimate;
  r.vram = m.vram;
  r.ram = m.ram;
  r.link = m.link.name;
  r.link_bytes_per_second = m.link.host;
  const ModelBytes& w = plan.weights();
  r.file_bytes = w.text.file + w.high.file + w.low.file + w.decoder.file + w.encoder.file;
  r.strategies = strategies(plan, times, m);
  r.chosen = choose(r.strategies);
  r.why = reason(r);
  if (r.chosen < 0)
    for (const SpecChange& change : changes_that_fit(spec, {m.device, m.budget(), 0, m.gpus > 0 ? m.ram : 0}))
      r.changes.push_back(planned(change, m));
  for (const SpecChange& change : cheaper(spec))
    if (std::ranges::find(r.changes, change.flags, &PlanChange::flags) == r.changes.end())
      r.changes.push_back(planned(change, m));
  r.notes = found.notes;
  if (const std::string note = three_minutes(r); !note.empty()) r.notes.push_back(note);
  r.notes.push_back(
      fmt::format("loading: files from a disk that gives {:.0f} GB/s; from the page cache it takes a tenth",
                  TimeModel::disk_bytes_per_second / 1e9));
  if (gpu)
    r.notes.push_back(fmt::format("memory: as the driver counts it, {} of it the CUDA context's and the libraries'",
                                  gigabytes(cuda_context_bytes)));
  return r;
}

}  // namespace wan
