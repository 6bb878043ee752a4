#pragma once
#include <cstdint>
#include <vector>

#include "wan/types.h"

namespace wan::sampler {

inline constexpr int64_t kTrainTimesteps = 1000;
inline constexpr int64_t kMaxSteps = 1000;
inline constexpr double kMinShift = 1e-6;  ///< far beyond use on both sides, and safe from 0/0
inline constexpr double kMaxShift = 1e6;

/// When the model is called and how far each step goes.
struct Schedule {
  SolverKind solver = SolverKind::unipc;
  std::vector<int64_t> timesteps;  ///< [steps] what the model is told; not strictly falling when steps are many
  std::vector<float> sigmas;       ///< [steps + 1] noise levels from about 1 down; the last one is 0

  int64_t steps() const noexcept { return static_cast<int64_t>(timesteps.size()); }
};

/// The schedule of upstream's FlowUniPCMultistepScheduler.set_timesteps (unipc; euler uses the same one) or
/// get_sampling_sigmas + retrieve_timesteps (dpm++), equal to the bit: computed in float64, sigmas rounded to
/// float32, timesteps truncated. steps in 1..kMaxSteps and shift in kMinShift..kMaxShift, else invalid_argument.
Schedule make_schedule(SolverKind solver, int64_t steps, double shift);

/// Which expert a step belongs to: high noise when timestep >= boundary * 1000. boundary is per task (0.875, 0.900).
bool is_high_noise(int64_t timestep, double boundary) noexcept;

}  // namespace wan::sampler
