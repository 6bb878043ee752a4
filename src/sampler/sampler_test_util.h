#pragma once
#include <cmath>
#include <functional>
#include <stdexcept>
#include <vector>

#include "sampler/solver.h"

namespace wan::sampler::test {

/// Runs plans on plain vectors, as a pipeline does on tensors; refuses to read a slot that was never written.
class HostSolver {
 public:
  using Model = std::function<std::vector<float>(const std::vector<float>& x, int64_t timestep)>;

  HostSolver(Schedule schedule, std::vector<float> latent) : schedule_(std::move(schedule)) {
    slot(Slot::latent) = std::move(latent);
  }

  const std::vector<float>& latent() { return slot(Slot::latent); }

  void step(int64_t i, const Model& model) {
    const StepPlan plan = plan_step(schedule_, i);
    slot(Slot::velocity) = model(latent(), plan.timestep);
    for (const LinearUpdate& u : plan.updates()) apply(u);
  }

 private:
  std::vector<float>& slot(Slot s) { return slots_[static_cast<size_t>(s)]; }

  void apply(const LinearUpdate& u) {
    const size_t n = slot(Slot::latent).size();
    std::vector<float> out(n, 0.0f);
    for (const Term& t : u.terms()) {
      const auto& in = slot(t.slot);
      if (in.size() != n) throw std::logic_error("reads a slot that was never written");
      for (size_t k = 0; k < n; ++k) out[k] += static_cast<float>(t.coefficient) * in[k];
    }
    slot(u.out) = std::move(out);
  }

  Schedule schedule_;
  std::array<std::vector<float>, kSlots> slots_;
};

/// The velocity field of the golden solver runs: v = sin(3x) + 0.1 t/1000.
inline std::vector<float> golden_velocity(const std::vector<float>& x, int64_t timestep) {
  std::vector<float> v(x.size());
  for (size_t k = 0; k < x.size(); ++k) v[k] = std::sin(3 * x[k]) + 0.1f * static_cast<float>(timestep) / 1000;
  return v;
}

}  // namespace wan::sampler::test
