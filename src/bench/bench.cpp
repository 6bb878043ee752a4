#include "wan/bench.h"

#include "bench/parts.h"
#include "core/error.h"
#include "engine/ranges.h"
#include "pipeline/task.h"

namespace wan {
namespace {

constexpr auto invalid = ErrorCode::invalid_argument;

bench::Plan make_plan(const BenchOptions& o) {
  require(o.dit || o.vae || o.t5, invalid, "[--what] nothing is to be run; expected dit, vae, t5 or all");
  require(o.width.has_value() == o.height.has_value(), invalid,
          "[--size] only one side was given; expected both width and height");
  engine::check_number("--runs", o.runs, 1, 1000);
  engine::check_number("--threads", o.threads, 0, 4096);
  bench::Plan plan;
  plan.task = o.task;
  plan.dimensions =
      o.ckpt_dir.empty() ? engine::official_dimensions(o.task) : engine::checkpoint_dimensions(o.ckpt_dir, o.task);
  const pipeline::TaskDefaults defaults = pipeline::defaults_of(o.task);
  plan.width = o.width.value_or(defaults.width);
  plan.height = o.height.value_or(defaults.height);
  plan.frames = o.frames.value_or(defaults.frames);
  plan.runs = o.runs;
  engine::check_multiple("--size width", plan.width, plan.dimensions.width_step());
  engine::check_multiple("--size height", plan.height, plan.dimensions.height_step());
  engine::check_frames("--frames", plan.frames, plan.dimensions.vae.stride_t());
  const int64_t latent_rows = plan.height / plan.dimensions.vae.stride_s();
  engine::check_number("--vae_bands", o.vae_bands, 1, static_cast<double>(latent_rows));
  plan.vae_bands = o.vae_bands;
  if (o.layers) {
    engine::check_number("--layers", *o.layers, 1, static_cast<double>(plan.dimensions.dit.layers));
    plan.layers = *o.layers;
  }
  return plan;
}

}  // namespace

BenchReport run_bench(const BenchOptions& options) {
  const bench::Plan plan = make_plan(options);
  bench::Machine machine(options, engine::make_backend(options.device));

  BenchReport report;
  report.task = plan.task;
  report.dimensions = options.ckpt_dir.empty() ? "official" : options.ckpt_dir.string();
  report.width = static_cast<int>(plan.width);
  report.height = static_cast<int>(plan.height);
  report.frames = static_cast<int>(plan.frames);
  report.device = machine.backend().name;
  report.precision = machine.ctx().compute == DType::bf16 ? Precision::bf16 : Precision::f32;
  report.threads = machine.ctx().threads;
  report.runs = plan.runs;
  if (machine.rates()) report.rates = machine.rates()->source;

  // Each part's memory is gone before the next one's is taken.
  Arena& arena = *machine.ctx().arena;
  if (options.dit) report.parts.push_back(bench::bench_dit(machine, plan));
  arena.release();
  if (options.vae)
    for (BenchPart& part : bench::bench_vae(machine, plan)) report.parts.push_back(std::move(part));
  arena.release();
  if (options.t5) report.parts.push_back(bench::bench_t5(machine, plan));
  return report;
}

}  // namespace wan
