#pragma once
#include "ops/kernels.h"

namespace wan::ops {

/// A table for a device whose kernels are another table's on the host.
struct MirrorTable : KernelTable {
  const KernelTable* host = nullptr;
  Arena* arena = nullptr;  ///< the host's scratch
};

/// Ops called through the result copy their arguments to the host, run `host`'s kernel there and copy the results back:
/// the trusted side of check_kernels on a GPU. Keep both alive.
MirrorTable mirror_kernels(const KernelTable& host, Arena& host_arena) noexcept;

}  // namespace wan::ops
