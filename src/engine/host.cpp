#include "engine/host.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace wan::engine {
namespace {

/// cgroup v2's cpu.max ("max 100000" or "150000 100000") as a number of CPUs; 0 if there is no limit.
int cgroup_cpus() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  char* end = nullptr;
  const double value = std::strtod(quota.c_str(), &end);
  if (end == quota.c_str() || value <= 0) return 0;
  return std::max(1, static_cast<int>(std::ceil(value / period)));
}

}  // namespace

int usable_cpus() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int affinity = sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
  const int quota = cgroup_cpus();
  return quota > 0 ? std::min(affinity, quota) : affinity;
}

}  // namespace wan::engine
