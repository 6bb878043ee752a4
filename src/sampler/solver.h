#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "sampler/schedule.h"

namespace wan::sampler {

/// The tensors that a solver step reads and writes, all of the latent's shape. `latent` is the sample, `velocity` the
/// model's output after guidance; the history slots belong to the solver: the pipeline allocates history_slots() of
/// them and keeps their contents from step to step (and across the switch from one expert to the other).
enum class Slot : uint8_t { latent, velocity, history0, history1, history2, history3 };
inline constexpr size_t kSlots = 6;

/// coefficient * slot
struct Term {
  Slot slot = Slot::latent;
  double coefficient = 0;
};

/// out = sum of terms, element by element. `out` may be one of the inputs.
struct LinearUpdate {
  static constexpr size_t kMaxTerms = 4;
  Slot out = Slot::latent;
  std::array<Term, kMaxTerms> storage{};
  size_t count = 0;

  std::span<const Term> terms() const noexcept { return {storage.data(), count}; }
};

/// One solver step as a straight-line program. Run the updates in order: each reads what earlier ones wrote. All are
/// element-wise, so they can run as separate passes over the tensors or, per element, as one fused kernel.
/// A slot that was never written is never read.
struct StepPlan {
  static constexpr size_t kMaxUpdates = 3;
  int64_t timestep = 0;
  float sigma = 0;       ///< noise level of the latent before the step
  float sigma_next = 0;  ///< and after it
  int order = 1;         ///< of the predictor
  std::array<LinearUpdate, kMaxUpdates> storage{};
  size_t count = 0;

  std::span<const LinearUpdate> updates() const noexcept { return {storage.data(), count}; }
};

/// History tensors that the solver needs: unipc 4 (last corrected sample and three data predictions), dpm++ 2, euler 0.
int history_slots(SolverKind solver) noexcept;

/// The plan of step `step` (0-based). A pure function: the solver's whole state is the step number and the contents of
/// latent and history slots, which is all that has to be saved to go on later.
///
/// With x0 = latent - sigma * velocity (the data prediction of a flow model), lambda = log((1-sigma)/sigma):
///  unipc  UniPC-2 (Zhao et al., 2023), bh2; the corrector rewrites the latent from the step before, then the predictor
///         goes on; order 1 at the first and last step. Upstream: FlowUniPCMultistepScheduler.step.
///  dpm++  DPM-Solver++ 2M midpoint (Lu et al., 2022); order 1 at the first and last step. Upstream:
///         FlowDPMSolverMultistepScheduler.step.
///  euler  latent += (sigma_next - sigma) * velocity.
/// Coefficients are float64 from the schedule's float32 sigmas. Where two sigmas are equal in float32 (very many steps
/// with a very large shift) the step falls back to order 1 and stays finite.
/// Upstream's schedulers look the first step up by timestep, and stop with an index error when the first timestep
/// occurs twice; here the step number decides.
/// Throws invalid_argument if step is outside 0..steps-1.
StepPlan plan_step(const Schedule& schedule, int64_t step);

}  // namespace wan::sampler
