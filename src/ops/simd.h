#pragma once
#include <cstdint>
#include <span>

#include "core/dtype.h"

/// The inner loops of the CPU back end, compiled once per instruction set; simd() picks the best one that this
/// processor has. Everything here works on dense f32 rows, except the bf16 products.
namespace wan::ops::cpu {

/// c[m, n] (+)= a[m, k] b[k, n] on one thread. Rows of a: `lda` elements apart, m a multiple of `rows`; b: packed by
/// pack_*; c: rows `ldc` apart, n a multiple of `columns` (packing pads with zeros).
template <class T>
using Gemm = void (*)(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, float* c, int64_t ldc,
                      bool accumulate);

struct Simd {
  const char* name;
  int64_t rows, columns;  ///< the tile of the products
  Gemm<float> gemm_f32;
  Gemm<bf16> gemm_bf16;  ///< null where the processor has no bf16 products; k must be even
  void (*widen)(const bf16* x, float* y, int64_t n);
  void (*narrow)(const float* x, bf16* y, int64_t n);
  /// y = (x - mean) / sqrt(variance + eps) * (offset + mul) + add
  void (*normalize)(const float* x, float* y, int64_t n, float eps, float offset, const float* mul, const float* add);
  double (*square_sum)(const float* x, int64_t n);
  /// y = x * factor * w
  void (*scale)(const float* x, float* y, int64_t n, float factor, const float* w);
  void (*gelu_tanh)(const float* x, float* y, int64_t n);
  void (*silu)(const float* x, float* y, int64_t n);
  /// x += b (bias of a linear layer)
  void (*add)(float* x, const float* b, int64_t n);
  /// (x[2i], x[2i+1]) turned by the angle with (cos, sin) = turns[2i], turns[2i+1]
  void (*rotate)(float* x, const float* turns, int64_t pairs);
  /// s = exp(scale * s + bias - top) with top = max(top, scale * s + bias); total = total * shrink + sum of s;
  /// gives shrink = exp(old top - new top). bias may be null.
  float (*softmax)(float* s, int64_t n, float scale, const float* bias, float* top, float* total);
  void (*multiply)(float* x, float factor, int64_t n);
};

/// The best variant for this processor.
const Simd& simd() noexcept;
/// All variants that this processor can run, the best one last.
std::span<const Simd* const> simd_variants() noexcept;

/// Panels of `columns` columns, each [k, columns] (bf16: [k/2, columns, 2]), from n rows of length k (the transpose).
/// `packed` holds round_up(n, columns) * k elements; bf16 pads k to even.
void pack_rows(const Simd& s, const float* x, int64_t stride, int64_t n, int64_t k, float* packed);
void pack_rows(const Simd& s, const bf16* x, int64_t stride, int64_t n, int64_t k, float* packed);
void pack_rows(const Simd& s, const bf16* x, int64_t stride, int64_t n, int64_t k, bf16* packed);
/// The same from k rows of length n.
void pack_columns(const Simd& s, const float* x, int64_t stride, int64_t k, int64_t n, float* packed);
void pack_columns(const Simd& s, const bf16* x, int64_t stride, int64_t k, int64_t n, float* packed);
void pack_columns(const Simd& s, const bf16* x, int64_t stride, int64_t k, int64_t n, bf16* packed);

/// The variants themselves; those named after an instruction set exist on x86-64 only.
const Simd* simd_base() noexcept;
const Simd* simd_avx2() noexcept;
const Simd* simd_avx512() noexcept;
const Simd* simd_avx512bf16() noexcept;

}  // namespace wan::ops::cpu
