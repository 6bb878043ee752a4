#pragma once
#include "core/context.h"
#include "ops/cublaslt_plans.h"
#include "ops/kernels.h"

namespace wan::ops::cuda {

/// activation(alpha * x w^T + bias) for each matrix of a batch. Alignments and epilogue of `shape` are filled in here.
struct Gemm {
  GemmShape shape;
  const void* x = nullptr;
  const void* w = nullptr;
  void* y = nullptr;
  float alpha = 1.f;
  Tensor bias;  ///< [n] f32, or absent
  Activation activation = Activation::none;
};

/// By cuBLASLt, with bias and GELU in its epilogue where it has one that is as exact as the result; where it has no
/// algorithm (odd alignments), by plain loops.
void gemm(Context& ctx, const Gemm& g);

}  // namespace wan::ops::cuda
