#include "pipeline/denoise.h"

#include <array>
#include <optional>
#include <vector>

#include "core/error.h"
#include "ops/elementwise.h"
#include "sampler/solver.h"

namespace wan::pipeline {
namespace {

/// The prompts' keys and values for the expert that is at work; made anew when the expert changes.
class PromptStates {
 public:
  void switch_to(Context& ctx, const DenoiseJob& job, Expert expert, const models::Dit& dit) {
    if (expert_ == expert) return;
    expert_ = expert;
    cond_.reset();  // before the new ones are made: both sets need not fit at once
    uncond_.reset();
    cond_ = models::make_text_kv(ctx, dit, job.context_cond);
    if (job.guidance(expert) != 1) {
      Context silent = ctx;
      silent.trace = nullptr;  // the traced text embedding is the prompt's
      uncond_ = models::make_text_kv(silent, dit, job.context_uncond);
    }
  }
  const models::TextKv& cond() const { return *cond_; }
  const models::TextKv& uncond() const { return *uncond_; }

 private:
  std::optional<Expert> expert_;
  std::optional<models::TextKv> cond_, uncond_;
};

/// The tensors that a solver's plan names.
class SolverSlots {
 public:
  SolverSlots(Context& ctx, SolverKind solver, const Tensor& latent, const Tensor& velocity) {
    at(sampler::Slot::latent) = latent;
    at(sampler::Slot::velocity) = velocity;
    for (int i = 0; i < sampler::history_slots(solver); ++i)
      slots_[static_cast<size_t>(sampler::Slot::history0) + static_cast<size_t>(i)] =
          ctx.make(DType::f32, latent.shape);
  }
  void run(Context& ctx, const sampler::StepPlan& plan) {
    for (const sampler::LinearUpdate& update : plan.updates()) {
      std::vector<ops::Term> terms;
      for (const sampler::Term& term : update.terms()) terms.push_back({at(term.slot), term.coefficient});
      ops::combine(ctx, at(update.out), terms);
    }
  }

 private:
  Tensor& at(sampler::Slot slot) { return slots_[static_cast<size_t>(slot)]; }
  std::array<Tensor, sampler::kSlots> slots_;
};

/// latent[:, :frames] = first_frame (upstream: latent = (1 - mask) * z + mask * latent).
void keep_first_frame(Context& ctx, const Tensor& latent, const Tensor& first_frame) {
  if (!first_frame) return;
  const Shape frame{first_frame.dim(1), first_frame.dim(2), first_frame.dim(3)};
  for (int64_t c = 0; c < latent.dim(0); ++c) {
    const Tensor to = latent.slice(0, c, 1).slice(1, 0, first_frame.dim(1));
    ops::copy(ctx, first_frame.slice(0, c, 1).view(frame), to.view(frame));
  }
}

void tap_step(Context& ctx, const models::Dit& dit, const models::DitInput& input, const std::string& step,
              bool per_token) {
  ctx.tap(step + ".latent_in", input.latent);
  const auto& patch = dit.config.patch;
  const int64_t frame_tokens = input.latent.dim(2) / patch[1] * (input.latent.dim(3) / patch[2]);
  const int64_t tokens = per_token ? frame_tokens * input.latent.dim(1) / patch[0] : 1;
  std::vector<float> t(static_cast<size_t>(tokens), input.timestep);
  std::fill_n(t.begin(), input.clean_frames * frame_tokens, 0.f);
  ctx.tap(step + ".t", Tensor(t.data(), DType::f32, {tokens}));
}

}  // namespace

const char* to_string(Expert expert) noexcept {
  switch (expert) {
    case Expert::high: return "high";
    case Expert::low: return "low";
    case Expert::single: return "model";
  }
  return "?";
}

Expert expert_of(int64_t timestep, double boundary) noexcept {
  if (boundary <= 0) return Expert::single;
  return sampler::is_high_noise(timestep, boundary) ? Expert::high : Expert::low;
}

void denoise(Context& ctx, const DenoiseJob& job, const ExpertProvider& experts, const Tensor& latent,
             const StepCallback& on_step) {
  const auto scope = ctx.arena->scope();
  const Tensor velocity = ctx.make(DType::f32, latent.shape);
  const Tensor uncond = ctx.make(DType::f32, latent.shape);
  SolverSlots slots(ctx, job.schedule.solver, latent, velocity);
  PromptStates prompts;

  keep_first_frame(ctx, latent, job.first_frame);
  const std::vector<float> timesteps(job.schedule.timesteps.begin(), job.schedule.timesteps.end());
  std::optional<models::DitTables> tables;  // both experts have the same dimensions
  Expert expert = Expert::single;
  for (int64_t step = 0; step < job.schedule.steps(); ++step) {
    const int64_t timestep = job.schedule.timesteps[static_cast<size_t>(step)];
    expert = expert_of(timestep, job.boundary);
    on_step(step, expert);
    const models::Dit& dit = experts(expert);
    prompts.switch_to(ctx, job, expert, dit);

    if (!tables) tables = models::make_dit_tables(ctx, dit.config, latent.shape, timesteps);
    const models::DitInput input{latent,   job.condition, static_cast<float>(timestep), job.first_frame ? 1 : 0,
                                 &*tables, step};
    const std::string name = fmt::format("step{:02}", step);
    if (ctx.trace) tap_step(ctx, dit, input, name, job.boundary <= 0);

    models::dit_forward(ctx, dit, input, prompts.cond(), velocity);
    ctx.tap(name + ".cond", velocity);
    if (const double guidance = job.guidance(expert); guidance != 1) {
      Context silent = ctx;
      silent.trace = nullptr;  // block taps show the prompt's forward
      models::dit_forward(silent, dit, input, prompts.uncond(), uncond);
      ctx.tap(name + ".uncond", uncond);
      ops::combine(ctx, velocity, {{uncond, 1 - guidance}, {velocity, guidance}});
    }
    slots.run(ctx, sampler::plan_step(job.schedule, step));
    keep_first_frame(ctx, latent, job.first_frame);
    require(
        ops::all_finite(ctx, latent), ErrorCode::device,
        "[step {} of {}, {} expert] the latent is no longer finite (NaN or infinity); the weights may be damaged, or "
        "this precision too narrow: try --dtype f32",
        step + 1, job.schedule.steps(), to_string(expert));
  }
  on_step(job.schedule.steps(), expert);
}

}  // namespace wan::pipeline
