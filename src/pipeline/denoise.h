#pragma once
#include <functional>
#include <string>

#include "core/context.h"
#include "models/dit.h"
#include "sampler/schedule.h"

/// The step loop: the only owner of "for each timestep".
namespace wan::pipeline {

enum class Expert { high, low, single };
/// "high", "low" or "model", as in messages and progress.
const char* to_string(Expert expert) noexcept;

/// Upstream's rule: a timestep at or above boundary * 1000 is the high-noise expert's; boundary 0: a single model.
Expert expert_of(int64_t timestep, double boundary) noexcept;

struct DenoiseJob {
  sampler::Schedule schedule;
  double boundary = 0;
  double guidance_low = 1, guidance_high = 1;  ///< a single model uses guidance_low; 1 skips the second forward
  Tensor context_cond;                         ///< [n, text_dim] f32
  Tensor context_uncond;                       ///< [m, text_dim] f32; may be absent if both guidance scales are 1
  Tensor condition;                            ///< [in - c, F, H, W] f32 (image to video), or absent
  Tensor first_frame;      ///< [c, 1, H, W] f32: this latent frame is given and stays (TI2V from an image), or absent
  int64_t first_step = 0;  ///< the steps before it are done: the latent is as they left it
  std::vector<Tensor> history{};  ///< and so are the solver's tensors; empty at step 0

  double guidance(Expert expert) const noexcept { return expert == Expert::high ? guidance_high : guidance_low; }
};

/// The transformers of a run. Only one is at work at a time.
class Experts {
 public:
  using UseConditioning = std::function<void(const models::DitConfig&, const models::DitConditioningWeights&)>;

  virtual ~Experts() = default;
  /// Calls use() with an expert's conditioning weights, which are gone when it returns. Before the first forward, once
  /// for every expert, in the order in which they will be at work.
  virtual void with_conditioning(Expert expert, const UseConditioning& use) = 0;
  /// The expert's transformer, loaded at its first use; it ends when another expert is asked for.
  virtual const models::Dit& at_work(Expert expert) = 0;
  /// Called before the last forward of the expert at work: `next` will be asked for after it, so that its first blocks
  /// may take the place of blocks that are done.
  virtual void announce(Expert next) = 0;
};
/// Called before step `step` (0-based) with the expert that computes it, and once more at the end with step == steps.
using StepCallback = std::function<void(int64_t step, Expert expert)>;

/// All that a run has to keep to go on later: the latent and the solver's tensors, f32 of one shape, as they are after
/// `steps_done` steps. Slots of the history that the solver has not used yet are zero.
struct RunState {
  int64_t steps_done = 0;
  Tensor latent;
  std::span<const Tensor> history;
};
/// Called after every step; the tensors are as described until the end of the next step.
using StateCallback = std::function<void(const RunState& state)>;

/// Turns noise into a latent, in place. latent [c, F, H, W] f32. The solver's history runs on across the expert
/// switch (upstream's WanT2V/WanI2V/WanTI2V.generate). Every rank of ctx's mesh ends with the same latent, bit by bit,
/// if it began with it; where an expert has no guidance, both halves compute the same. Taps:
/// stepNN.{latent_in,t,cond,uncond}. Throws Error(device) naming step and expert if the latent is no longer finite.
void denoise(Context& ctx, const DenoiseJob& job, Experts& experts, const Tensor& latent, const StepCallback& on_step,
             const StateCallback& on_state = {});

}  // namespace wan::pipeline
