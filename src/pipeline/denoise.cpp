#include "pipeline/denoise.h"

#include <array>
#include <map>
#include <optional>
#include <vector>

#include "core/error.h"
#include "ops/elementwise.h"
#include "parallel/ulysses.h"
#include "sampler/solver.h"

namespace wan::pipeline {
namespace {

/// The branches of a step that this rank computes with an expert. `exchanged`: one, and the other comes from the other
/// half of the ranks.
struct Branches {
  bool cond = true, uncond = false, exchanged = false;
};
Branches branches_of(const Context& ctx, double guidance) {
  const parallel::Group* ranks = parallel::guidance_group(ctx);
  if (guidance == 1 || !ranks) return {true, guidance != 1, false};
  return {ranks->rank() == 0, ranks->rank() == 1, true};
}

/// What an expert's conditioning weights make of timesteps and prompts.
struct Conditioning {
  models::DitTimes times;
  models::DitText cond, uncond;
};

/// For every expert that the schedule needs, before the first forward: the weights for it need not stay.
std::map<Expert, Conditioning> make_conditioning(Context& ctx, const DenoiseJob& job, Experts& experts) {
  const std::vector<float> timesteps(job.schedule.timesteps.begin(), job.schedule.timesteps.end());
  Context silent = ctx;
  silent.trace = nullptr;  // the traced text embedding is the prompt's
  std::map<Expert, Conditioning> made;
  for (int64_t step = job.first_step; step < job.schedule.steps(); ++step) {
    const Expert expert = expert_of(job.schedule.timesteps[static_cast<size_t>(step)], job.boundary);
    if (made.contains(expert)) continue;
    experts.with_conditioning(expert, [&](const auto& config, const auto& weights) {
      Conditioning& c = made[expert];
      c.times = models::embed_times(ctx, config, weights, timesteps);
      const Branches mine = branches_of(ctx, job.guidance(expert));
      if (mine.cond) c.cond = models::embed_text(ctx, config, weights, job.context_cond);
      if (mine.uncond) c.uncond = models::embed_text(silent, config, weights, job.context_uncond);
    });
  }
  return made;
}

/// The prompts' keys and values for the expert that is at work, where they are kept.
class KeptTextKv {
 public:
  void switch_to(Context& ctx, const models::Dit& dit, Conditioning& conditioning, const Tensor& latent) {
    if (conditioning_ == &conditioning) return;
    if (conditioning_) drop(*conditioning_);  // before the new ones are made: both sets need not fit at once
    conditioning_ = &conditioning;
    const int64_t tokens = models::dit_tokens(dit.config, latent.shape);
    const int64_t here = parallel::share_tokens(parallel::sequence_group(ctx), tokens).rows;
    if (!models::keeps_text_kv(dit.config, here)) return;
    for (models::DitText* text : {&conditioning.cond, &conditioning.uncond})
      if (text->states.tensor) models::keep_text_kv(ctx, dit, *text);
  }

 private:
  static void drop(Conditioning& c) {
    for (models::DitText* text : {&c.cond, &c.uncond}) {
      text->k.clear();
      text->v.clear();
    }
  }
  Conditioning* conditioning_ = nullptr;
};

/// The tensors that a solver's plan names.
class SolverSlots {
 public:
  SolverSlots(Context& ctx, const DenoiseJob& job, const Tensor& latent, const Tensor& velocity)
      : history_count_(static_cast<size_t>(sampler::history_slots(job.schedule.solver))) {
    at(sampler::Slot::latent) = latent;
    at(sampler::Slot::velocity) = velocity;
    require(job.first_step == 0 || job.history.size() == history_count_, ErrorCode::invalid_argument,
            "[denoise] {} tensors of the solver came to go on with, expected {}", job.history.size(), history_count_);
    for (size_t i = 0; i < history_count_; ++i) {
      const Tensor made = ctx.make(DType::f32, latent.shape);
      if (job.first_step > 0)
        ops::copy(ctx, job.history[i], made);
      else
        ctx.arena->memory().fill_zero(made.data, made.nbytes());
      slots_[first_history + i] = made;
    }
  }
  std::span<const Tensor> history() const { return std::span(slots_).subspan(first_history, history_count_); }
  /// Guidance, where there is any, and the solver's step.
  void run(Context& ctx, const sampler::StepPlan& plan, const Tensor& uncond, double guidance) {
    std::vector<ops::Sum> sums;
    const Tensor velocity = at(sampler::Slot::velocity);
    if (guidance != 1) sums.push_back({velocity, {{uncond, 1 - guidance}, {velocity, guidance}}});
    for (const sampler::LinearUpdate& update : plan.updates()) {
      ops::Sum& sum = sums.emplace_back(ops::Sum{at(update.out), {}});
      for (const sampler::Term& term : update.terms()) sum.terms.push_back({at(term.slot), term.coefficient});
    }
    ops::combine(ctx, sums);
  }

 private:
  static constexpr auto first_history = static_cast<size_t>(sampler::Slot::history0);
  Tensor& at(sampler::Slot slot) { return slots_[static_cast<size_t>(slot)]; }

  std::array<Tensor, sampler::kSlots> slots_;
  size_t history_count_;
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

void tap_step(Context& ctx, const models::Dit& dit, const models::DitInput& input, int64_t timestep,
              const std::string& step, bool per_token) {
  ctx.tap(step + ".latent_in", input.latent);
  const auto& patch = dit.config.patch;
  const int64_t frame_tokens = input.latent.dim(2) / patch[1] * (input.latent.dim(3) / patch[2]);
  const int64_t tokens = per_token ? frame_tokens * input.latent.dim(1) / patch[0] : 1;
  std::vector<float> t(static_cast<size_t>(tokens), static_cast<float>(timestep));
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

void denoise(Context& ctx, const DenoiseJob& job, Experts& experts, const Tensor& latent, const StepCallback& on_step,
             const StateCallback& on_state) {
  const auto scope = ctx.arena->scope();
  std::map<Expert, Conditioning> conditioning = make_conditioning(ctx, job, experts);
  KeptTextKv kept;
  const Shape& shape = latent.shape;
  const Tensor branches = ctx.make(DType::f32, {2, shape[0], shape[1], shape[2], shape[3]});
  const Tensor velocity = branches.slice(0, 0, 1).view(shape), uncond = branches.slice(0, 1, 1).view(shape);
  const parallel::Group* halves = parallel::guidance_group(ctx);
  const Tensor own = halves ? ctx.make(DType::f32, shape) : Tensor{};
  SolverSlots slots(ctx, job, latent, velocity);
  Context silent = ctx;
  silent.trace = nullptr;  // block taps show the prompt's forward

  keep_first_frame(ctx, latent, job.first_frame);
  std::optional<ops::Rope3d> rope;  // both experts have the same dimensions
  const int64_t steps = job.schedule.steps();
  const auto expert_at = [&](int64_t step) {
    return expert_of(job.schedule.timesteps[static_cast<size_t>(step)], job.boundary);
  };
  for (int64_t step = job.first_step; step < steps; ++step) {
    const Expert expert = expert_at(step);
    on_step(step, expert);
    const models::Dit& dit = experts.at_work(expert);
    Conditioning& now = conditioning.at(expert);
    kept.switch_to(ctx, dit, now, latent);
    if (!rope) rope = models::make_dit_rope(ctx, dit.config, latent.shape);

    const models::DitInput input{latent, job.condition, &now.times, step, job.first_frame ? 1 : 0, &*rope};
    const std::string name = fmt::format("step{:02}", step);
    if (ctx.trace)
      tap_step(ctx, dit, input, job.schedule.timesteps[static_cast<size_t>(step)], name, job.boundary <= 0);

    const bool last = step + 1 < steps && expert_at(step + 1) != expert;
    const double guidance = job.guidance(expert);
    const Branches mine = branches_of(ctx, guidance);
    if (last && !mine.uncond) experts.announce(expert_at(step + 1));
    if (mine.cond) models::dit_forward(ctx, dit, input, now.cond, mine.exchanged ? own : velocity);
    if (last && mine.uncond) experts.announce(expert_at(step + 1));
    if (mine.uncond) models::dit_forward(silent, dit, input, now.uncond, mine.exchanged ? own : uncond);
    if (mine.exchanged) halves->all_gather(ctx, own, branches);
    ctx.tap(name + ".cond", velocity);
    if (guidance != 1) ctx.tap(name + ".uncond", uncond);
    slots.run(ctx, sampler::plan_step(job.schedule, step), uncond, guidance);
    keep_first_frame(ctx, latent, job.first_frame);
    require(
        ops::all_finite(ctx, latent), ErrorCode::device,
        "[step {} of {}, {} expert] the latent is no longer finite (NaN or infinity); the weights may be damaged, or "
        "this precision too narrow: try --dtype f32",
        step + 1, steps, to_string(expert));
    if (on_state) on_state({step + 1, latent, slots.history()});
  }
  on_step(steps, steps > 0 ? expert_at(steps - 1) : Expert::single);
}

}  // namespace wan::pipeline
