#include "engine/strategies.h"

#include <algorithm>

#include "core/error.h"
#include "engine/fit.h"

namespace wan::engine {
namespace {

/// Fills a row in.
class Maker {
 public:
  Maker(const TimeModel& times, const PlanMachine& machine) : times_(times), machine_(machine) {}

  PlanStrategy make(std::string name, const MemoryPlan& memory, const Placement& p, const Sharing& sharing = {}) const {
    PlanStrategy s;
    s.name = std::move(name);
    s.gpus = machine_.gpus > 0 ? sharing.gpus() : 0;
    s.available = sharing.gpus() == 1;
    s.resident_blocks = p.resident;
    s.blocks = p.blocks;
    const bool gpu = machine_.gpus > 0;
    s.gpu_peak = gpu ? p.device.most() : 0;
    s.host_peak = p.host.most();
    s.gpu_minimum = gpu ? memory.minimum() : 0;
    const Seconds t = times_.of(memory, p, sharing);
    const auto stage = [&](Stage which, int64_t device, int64_t host, double seconds) {
      s.stages.push_back({which, gpu ? device : 0, host, seconds});
    };
    stage(Stage::load, 0, 0, t.load);
    if (!memory.spec().decode_only) {
      stage(Stage::text, p.device.text, p.host.text, t.text);
      if (memory.spec().image) stage(Stage::image, p.device.image, p.host.image, t.image);
      stage(Stage::sample, std::max(p.device.condition, p.device.sample), std::max(p.host.condition, p.host.sample),
            t.sample);
    }
    stage(Stage::decode, p.device.decode, p.host.decode, t.decode);
    s.step_seconds = t.step;
    s.total_seconds = t.all();
    describe(s, p);
    return s;
  }

 private:
  void describe(PlanStrategy& s, const Placement& p) const {
    const int64_t peak = machine_.gpus > 0 ? s.gpu_peak : s.host_peak, budget = machine_.budget();
    s.fits = budget == 0 || peak <= budget;
    if (!s.fits)
      s.note = fmt::format("needs {} of {}", gigabytes(peak), gigabytes(budget));
    else if (p.from_disk > 0)
      s.note = fmt::format("{} of {} blocks are read from disk in every forward", p.from_disk, p.blocks);
    else if (p.streamed)
      s.note = fmt::format("{} of {} blocks stay on the GPU", p.resident, p.blocks);
  }

  const TimeModel& times_;
  const PlanMachine& machine_;
};

bool two_experts_at_work(const MemoryPlan& plan) {
  const ExpertSteps steps = expert_steps(plan.spec());
  return steps.high > 0 && steps.low > 0;
}

/// What each GPU has while all share a generation (`wan generate --gpus N`).
void add_shared(std::vector<PlanStrategy>& all, const Maker& maker, const MemoryPlan& plan, const PlanMachine& m) {
  const bool guided = plan.spec().guided();
  const auto add = [&](std::string name, Sharing sharing) {
    GenerationSpec spec = plan.spec();
    spec.mesh = {sharing.branches, sharing.sequence};
    spec.sharded = sharing.sharded;
    const MemoryPlan part(spec);
    Placement p = sharing.sharded ? part.place_all() : part.place(m.vram, m.host_budget());
    // Where shards do not fit all at once, one expert's blocks do.
    if (sharing.sharded && p.device.most() > m.vram) p = part.place_streamed(p.blocks, MemoryPlan::no_limit, m.vram);
    all.push_back(maker.make(std::move(name), part, p, sharing));
  };
  if (guided) add("guidance-parallel", {2, 1, false});
  add(fmt::format("Ulysses x {}", m.gpus), {1, m.gpus, false});
  add(fmt::format("Ulysses x {}, sharded", m.gpus), {1, m.gpus, true});
  if (!guided || m.gpus < 4) return;
  add(fmt::format("guidance-parallel, Ulysses x {}", m.gpus / 2), {2, m.gpus / 2, false});
  add(fmt::format("guidance-parallel, Ulysses x {}, sharded", m.gpus / 2), {2, m.gpus / 2, true});
}

}  // namespace

int64_t PlanMachine::budget() const noexcept { return gpus > 0 ? vram : ram; }
int64_t PlanMachine::host_budget() const noexcept { return ram > 0 ? ram : MemoryPlan::no_limit; }

std::vector<PlanStrategy> strategies(const MemoryPlan& plan, const TimeModel& times, const PlanMachine& m) {
  const Maker maker(times, m);
  const Placement all = plan.place_all();
  if (m.gpus == 0) return {maker.make("CPU", plan, plan.place(m.budget()))};
  if (plan.spec().decode_only) return {maker.make("decode only", plan, plan.place(m.vram))};

  std::vector<PlanStrategy> list;
  const Placement best = plan.place(m.vram, m.host_budget());
  list.push_back(maker.make("resident", plan, best.fits && best.both_experts ? best : all));
  if (two_experts_at_work(plan))
    list.push_back(maker.make("one expert at a time", plan, plan.place_streamed(all.blocks, m.host_budget(), m.vram)));
  const Placement streamed = best.fits && best.streamed ? best : plan.place_streamed(0, m.host_budget(), m.vram);
  list.push_back(maker.make("streamed", plan, streamed));
  if (!plan.spec().text_on_cpu) {
    GenerationSpec spec = plan.spec();
    spec.text_on_cpu = true;
    const MemoryPlan on_cpu(spec);
    const TimeModel its_times(spec, m.rates, m.link);
    Placement p = on_cpu.place(m.vram, m.host_budget());
    if (!p.fits || p.both_experts || !p.streamed) p = on_cpu.place_streamed(streamed.resident, m.host_budget(), m.vram);
    list.push_back(Maker(its_times, m).make("streamed, text encoder on the CPU", on_cpu, p));
  }
  if (m.gpus > 1) add_shared(list, maker, plan, m);
  return list;
}

int choose(const std::vector<PlanStrategy>& list) noexcept {
  const auto at = std::find_if(list.begin(), list.end(), [](const PlanStrategy& s) { return s.available && s.fits; });
  return at == list.end() ? -1 : static_cast<int>(at - list.begin());
}

}  // namespace wan::engine
