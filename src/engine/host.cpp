#include "engine/host.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
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

/// A file that holds one number; nullopt if it is not there or says "max".
std::optional<int64_t> number_in(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

/// A line such as "MemAvailable:  1234 kB" of /proc/meminfo or "inactive_file 1234" of memory.stat.
int64_t field_of(const char* path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    int64_t value = 0;
    if (word == name && file >> value) return value;
  }
  return 0;
}

}  // namespace

int64_t usable_memory() noexcept {
  const int64_t available = field_of("/proc/meminfo", "MemAvailable:") * 1024;
  const auto limit = number_in("/sys/fs/cgroup/memory.max"), used = number_in("/sys/fs/cgroup/memory.current");
  if (!limit || !used) return available;
  const int64_t cache = field_of("/sys/fs/cgroup/memory.stat", "inactive_file");  // given up when it is wanted
  return std::min(available, std::max<int64_t>(*limit - *used + cache, 0));
}

int usable_cpus() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int affinity = sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
  const int quota = cgroup_cpus();
  return quota > 0 ? std::min(affinity, quota) : affinity;
}

}  // namespace wan::engine
