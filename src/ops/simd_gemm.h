#pragma once
// The matrix product of one instruction set: c (+)= a b in tiles of WAN_SIMD_ROWS rows and two vectors, held in
// registers over the whole of k. b is packed in panels as wide as a tile; see simd.h.
#include "ops/simd_vector.h"

namespace wan::ops::cpu {
namespace {

constexpr int tile_rows = WAN_SIMD_ROWS, tile_columns = 2 * lanes;

// `step(accumulator, a, b)` adds one product of a 32-bit unit of a (an f32 or two bf16) and a vector of b's.
template <class Step>
inline void tile(int64_t units, const float* a, int64_t lda, const float* b, float* c, int64_t ldc, bool accumulate,
                 const Step& step) {
  Vec sums[tile_rows][2];
#pragma GCC unroll 16
  for (int i = 0; i < tile_rows; ++i) {
    sums[i][0] = accumulate ? load(c + i * ldc) : Vec{};
    sums[i][1] = accumulate ? load(c + i * ldc + lanes) : Vec{};
  }
  for (int64_t k = 0; k < units; ++k, ++a, b += tile_columns) {
    const Vec left = load(b), right = load(b + lanes);
#pragma GCC unroll 16
    for (int i = 0; i < tile_rows; ++i) {
      const Vec x = splat(a[i * lda]);
      sums[i][0] = step(sums[i][0], x, left);
      sums[i][1] = step(sums[i][1], x, right);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < tile_rows; ++i) {
    store(c + i * ldc, sums[i][0]);
    store(c + i * ldc + lanes, sums[i][1]);
  }
}

template <class Step>
inline void tiles(int64_t m, int64_t n, int64_t units, const float* a, int64_t lda, const float* b, float* c,
                  int64_t ldc, bool accumulate, const Step& step) {
  for (int64_t j = 0; j < n; j += tile_columns, b += units * tile_columns)
    for (int64_t i = 0; i < m; i += tile_rows) tile(units, a + i * lda, lda, b, c + i * ldc + j, ldc, accumulate, step);
}

void gemm_f32(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, float* c, int64_t ldc,
              bool accumulate) {
  tiles(m, n, k, a, lda, b, c, ldc, accumulate, [](Vec s, Vec x, Vec y) { return s + x * y; });
}

}  // namespace
}  // namespace wan::ops::cpu
