#pragma once
#include <cstdint>

#include "ops/kernels.h"
#include "ops/op_list.h"

/// The reference back end: the formulas of kernels.h word by word, one element at a time in f64, rounded once.
/// Slow on purpose; the other back ends are measured against it.
namespace wan::ops {

const KernelTable& reference_kernels() noexcept;

namespace reference {

WAN_FOR_EACH_OP(WAN_DECLARE_KERNEL)

/// Element (i, j, ...) of an f32, bf16 or f16 tensor, whatever its strides.
template <class... Index>
int64_t offset(const Tensor& t, Index... index) noexcept {
  int64_t at = 0;
  int axis = 0;
  ((at += static_cast<int64_t>(index) * t.stride(axis++)), ...);
  return at;
}
double value_at(const Tensor& t, int64_t offset) noexcept;
void set_at(const Tensor& t, int64_t offset, double value) noexcept;

template <class... Index>
double get(const Tensor& t, Index... index) noexcept {
  return value_at(t, offset(t, index...));
}
/// Stores a value, rounded to nearest even.
template <class... Index>
void set(const Tensor& t, double value, Index... index) noexcept {
  set_at(t, offset(t, index...), value);
}

}  // namespace reference
}  // namespace wan::ops
