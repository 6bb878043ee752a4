#pragma once
#include "engine/time_model.h"
#include "wan/plan.h"

/// The ways to run a generation on a machine, each with its memory and time.
namespace wan::engine {

/// The machine that is planned for.
struct PlanMachine {
  std::string device = "CPU";
  int gpus = 0;      ///< 0: the CPU computes
  int64_t vram = 0;  ///< budget per GPU
  int64_t ram = 0;   ///< budget of the host; 0: not known
  Rates rates;       ///< of a GPU, or of the CPU
  Link link;
  int64_t budget() const noexcept;       ///< of the device that computes
  int64_t host_budget() const noexcept;  ///< beside a GPU
};

/// Those of one GPU first, in the order in which they are preferred; then those of several. On the CPU there is one.
std::vector<PlanStrategy> strategies(const MemoryPlan& plan, const TimeModel& times, const PlanMachine& machine);

/// What a generation of this version does: the first that fits. -1 if none does.
int choose(const std::vector<PlanStrategy>& strategies) noexcept;

}  // namespace wan::engine
