#include "sampler/schedule.h"

#include "core/error.h"

namespace wan::sampler {
namespace {

// numpy.linspace(start, 0, steps + 1)[i]
double falling(double start, int64_t steps, int64_t i) {
  return static_cast<double>(i) * ((0.0 - start) / static_cast<double>(steps)) + start;
}

double shifted(double sigma, double shift) { return shift * sigma / (1 + (shift - 1) * sigma); }

}  // namespace

Schedule make_schedule(SolverKind solver, int64_t steps, double shift) {
  require(steps >= 1 && steps <= kMaxSteps, ErrorCode::invalid_argument, "[steps] {}; expected 1..{}", steps,
          kMaxSteps);
  require(shift >= kMinShift && shift <= kMaxShift, ErrorCode::invalid_argument,
          "[shift] {}; expected {}..{} (upstream uses 5 or 12)", shift, kMinShift, kMaxShift);
  // UniPC starts from the training schedule's largest sigma, which upstream keeps as float32; DPM++ from 1.
  const double start = solver == SolverKind::dpmpp ? 1.0 : static_cast<double>(static_cast<float>(1.0 - 0.001));
  Schedule s{.solver = solver, .timesteps = {}, .sigmas = {}};
  for (int64_t i = 0; i < steps; ++i) {
    const double sigma = shifted(falling(start, steps, i), shift);
    s.timesteps.push_back(static_cast<int64_t>(sigma * kTrainTimesteps));
    s.sigmas.push_back(static_cast<float>(sigma));
  }
  s.sigmas.push_back(0.0f);
  return s;
}

bool is_high_noise(int64_t timestep, double boundary) noexcept {
  return static_cast<double>(timestep) >= boundary * kTrainTimesteps;
}

}  // namespace wan::sampler
