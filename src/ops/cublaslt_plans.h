#pragma once
#include <cuda_runtime_api.h>

#include <compare>
#include <cstdint>
#include <memory>

#include "core/dtype.h"

/// Matrix products by cuBLASLt, with algorithms chosen once per shape.
namespace wan::ops::cuda {

/// What is added to or applied to the product before it is rounded.
enum class Epilogue : uint8_t {
  none,
  bias,            ///< + b[n], f32
  bias_bf16,       ///< + b[n], bf16
  gelu,            ///< gelu_tanh
  bias_gelu,       ///< gelu_tanh(. + b[n]), f32
  bias_bf16_gelu,  ///< the same, bf16
};

/// y[i] = epilogue(alpha * x[i] w[i]^T), i < batch; x[i] [m, k], w[i] [n, k] ([k, n] with `w_is_kn`), y[i] [m, n]; rows
/// `*_row` elements apart, matrices `*_batch` apart. Sums in f32; f32 inputs are not rounded to TF32.
struct GemmShape {
  int64_t m = 0, n = 0, k = 0, batch = 1;
  int64_t x_row = 0, w_row = 0, y_row = 0;
  int64_t x_batch = 0, w_batch = 0, y_batch = 0;
  bool w_is_kn = false;
  DType in = DType::f32, out = DType::f32;
  Epilogue epilogue = Epilogue::none;
  int x_alignment = 16, w_alignment = 16, y_alignment = 16;  ///< of the addresses, in bytes; powers of two
  auto operator<=>(const GemmShape&) const = default;
};

/// The largest power of two up to 256 that divides an address.
int alignment_of(const void* address) noexcept;

struct GemmPlan {
  bool usable = false;
  int64_t workspace = 0;
};

/// Plans are made at a shape's first use and kept. One thread at a time.
class CublasLtPlans {
 public:
  CublasLtPlans();
  ~CublasLtPlans();
  CublasLtPlans(const CublasLtPlans&) = delete;
  CublasLtPlans& operator=(const CublasLtPlans&) = delete;

  const GemmPlan& plan(const GemmShape& shape);
  /// For shapes whose plan is usable. Throws Error(device).
  void run(const GemmShape& shape, float alpha, const void* x, const void* w, const void* bias, void* y,
           void* workspace, cudaStream_t stream);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace wan::ops::cuda
