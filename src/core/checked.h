#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace wan {

/// Overflow-checked arithmetic on sizes; the one place for it. Nullopt means the result does not fit int64_t.
inline std::optional<int64_t> checked_add(int64_t a, int64_t b) noexcept {
  int64_t r = 0;
  if (__builtin_add_overflow(a, b, &r)) return std::nullopt;
  return r;
}

inline std::optional<int64_t> checked_mul(int64_t a, int64_t b) noexcept {
  int64_t r = 0;
  if (__builtin_mul_overflow(a, b, &r)) return std::nullopt;
  return r;
}

/// The product of dimensions; nullopt if one is negative or the product overflows. An empty list gives 1.
inline std::optional<int64_t> checked_numel(std::span<const int64_t> dims) noexcept {
  int64_t n = 1;
  for (const int64_t d : dims) {
    if (d < 0) return std::nullopt;
    const auto next = checked_mul(n, d);
    if (!next) return std::nullopt;
    n = *next;
  }
  return n;
}

inline int64_t div_up(int64_t a, int64_t b) noexcept { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) noexcept { return div_up(a, b) * b; }

}  // namespace wan
