#include "ops/simd.h"

#include <algorithm>
#include <array>

namespace wan::ops::cpu {
namespace {

struct Variants {
  std::array<const Simd*, 4> tables{};
  size_t count = 0;
  void add(const Simd* table) noexcept { tables[count++] = table; }
};

Variants detect() noexcept {
  Variants found;
  found.add(simd_base());
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.add(simd_avx2());
  if (avx512) found.add(simd_avx512());
  if (avx512 && __builtin_cpu_supports("avx512bf16")) found.add(simd_avx512bf16());
#endif
  return found;
}

inline void put(float& to, float v) { to = v; }
inline void put(float& to, bf16 v) { to = static_cast<float>(v); }

// Panel by panel; at(row, column) of the [k, n] matrix.
template <class At>
void pack(const Simd& s, int64_t k, int64_t n, float* packed, const At& at) {
  for (int64_t j = 0; j < n; j += s.columns) {
    const int64_t valid = std::min(s.columns, n - j);
    for (int64_t i = 0; i < k; ++i, packed += s.columns) {
      for (int64_t c = 0; c < valid; ++c) put(packed[c], at(i, j + c));
      for (int64_t c = valid; c < s.columns; ++c) packed[c] = 0.f;
    }
  }
}

template <class At>
void pack_pairs(const Simd& s, int64_t k, int64_t n, bf16* packed, const At& at) {
  for (int64_t j = 0; j < n; j += s.columns) {
    const int64_t valid = std::min(s.columns, n - j);
    for (int64_t i = 0; i < k; i += 2, packed += 2 * s.columns)
      for (int64_t c = 0; c < s.columns; ++c) {
        packed[2 * c] = c < valid ? at(i, j + c) : bf16{};
        packed[2 * c + 1] = c < valid && i + 1 < k ? at(i + 1, j + c) : bf16{};
      }
  }
}

}  // namespace

std::span<const Simd* const> simd_variants() noexcept {
  static const Variants found = detect();
  return {found.tables.data(), found.count};
}

const Simd& simd() noexcept { return *simd_variants().back(); }

void pack_rows(const Simd& s, const float* x, int64_t stride, int64_t n, int64_t k, float* packed) {
  pack(s, k, n, packed, [=](int64_t i, int64_t j) { return x[j * stride + i]; });
}
void pack_rows(const Simd& s, const bf16* x, int64_t stride, int64_t n, int64_t k, float* packed) {
  pack(s, k, n, packed, [=](int64_t i, int64_t j) { return x[j * stride + i]; });
}
void pack_rows(const Simd& s, const bf16* x, int64_t stride, int64_t n, int64_t k, bf16* packed) {
  pack_pairs(s, k, n, packed, [=](int64_t i, int64_t j) { return x[j * stride + i]; });
}
void pack_columns(const Simd& s, const float* x, int64_t stride, int64_t k, int64_t n, float* packed) {
  pack(s, k, n, packed, [=](int64_t i, int64_t j) { return x[i * stride + j]; });
}
void pack_columns(const Simd& s, const bf16* x, int64_t stride, int64_t k, int64_t n, float* packed) {
  pack(s, k, n, packed, [=](int64_t i, int64_t j) { return x[i * stride + j]; });
}
void pack_columns(const Simd& s, const bf16* x, int64_t stride, int64_t k, int64_t n, bf16* packed) {
  pack_pairs(s, k, n, packed, [=](int64_t i, int64_t j) { return x[i * stride + j]; });
}

}  // namespace wan::ops::cpu
