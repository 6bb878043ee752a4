#pragma once
// Makes the table of one instruction set from simd_gemm.h and simd_rows.h.
#include "ops/simd.h"
#include "ops/simd_gemm.h"
#include "ops/simd_rows.h"

namespace wan::ops::cpu {
namespace {

constexpr Simd make_simd(const char* name, Gemm<bf16> products) {
  return {name,           tile_rows, tile_columns,  gemm_f32, products, widen_row,  narrow_row,  normalize_row,
          square_sum_row, scale_row, gelu_tanh_row, silu_row, add_row,  rotate_row, softmax_row, multiply_row};
}

}  // namespace
}  // namespace wan::ops::cpu
