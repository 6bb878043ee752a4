#pragma once
#include <functional>
#include <string>

#include "ops/kernels.h"

namespace wan::ops {

enum class WorkKind : uint8_t { linear, self_attention, cross_attention, conv, norm, other };

/// What one call of an op has to do, by its arguments alone.
struct OpWork {
  std::string what;  ///< the table's entry and its extents, such as "linear f32 1x256x5120" (M x K x N)
  WorkKind kind = WorkKind::other;
  DType dtype = DType::f32;  ///< of the numbers that are multiplied
  double flop = 0;           ///< multiply-adds count twice; 0 where memory is the limit
  double bytes = 0;          ///< arguments read and written, once each
  int64_t channels = 0;      ///< a convolution's: the fewer of those that come in and go out
};

/// Called after each op that ran through the table, with the time that it took.
using OpDone = std::function<void(const OpWork& work, double seconds)>;

/// A table that times another one's ops.
struct ProfileTable : KernelTable {
  const KernelTable* inner = nullptr;
  std::function<void()> synchronise;  ///< waits for the device
  OpDone done;
};

/// Ops called through the result run `inner`'s kernel, wait for the device and report. Keep both tables alive.
ProfileTable profile_kernels(const KernelTable& inner, std::function<void()> synchronise, OpDone done);

}  // namespace wan::ops
