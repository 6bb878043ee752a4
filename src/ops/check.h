#pragma once
#include "ops/kernels.h"

namespace wan::ops {

/// A table that runs every op on two back ends of one device and compares the results; the tested one's stay.
struct CheckTable : KernelTable {
  const KernelTable* tested = nullptr;
  const KernelTable* trusted = nullptr;
  double tolerance = 0;
};

/// Ops called through the result throw Error(device), naming op, shapes and error, when the relative L2 error of an
/// output exceeds `tolerance` for f32, or the larger of it and 2^-8 for bf16 (one rounding). Keep the table and both
/// back ends alive.
CheckTable check_kernels(const KernelTable& tested, const KernelTable& trusted, double tolerance) noexcept;

/// |a - b| / |b| in the L2 norm over all elements, in f64; infinite if either has a non-finite element that the
/// other lacks. Shapes must be equal; f32 or bf16, on the host.
double relative_error(const Tensor& a, const Tensor& b);

}  // namespace wan::ops
