#pragma once
#include <cstdint>

namespace wan::engine {

/// CPUs that this process may use: its affinity, and the cgroup's quota where one is set.
int usable_cpus() noexcept;

/// Bytes of memory that this process may still use: what the system has available (page cache included), within the
/// cgroup's limit where one is set. 0 if the system does not say.
int64_t usable_memory() noexcept;

}  // namespace wan::engine
