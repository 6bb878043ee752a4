#pragma once
#include "ops/kernels.h"

namespace wan::ops {

/// act(x w^T + b), made in ctx.arena. x [M, K] f32 or bf16; w [N, K] dtype of x; b [N] f32 or absent.
/// The result is [M, N] of dtype `out`. Throws Error(invalid_argument) on mismatched shapes or dtypes.
Tensor linear(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, DType out,
              Activation activation = Activation::none);
/// The same with the dtype of the matrix work, ctx.compute.
Tensor linear(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b = {},
              Activation activation = Activation::none);
/// The same into an existing y [M, N], f32 or bf16.
void linear_into(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& y,
                 Activation activation = Activation::none);

}  // namespace wan::ops
