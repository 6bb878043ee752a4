#pragma once

namespace wan::engine {

/// CPUs that this process may use: its affinity, and the cgroup's quota where one is set.
int usable_cpus() noexcept;

}  // namespace wan::engine
