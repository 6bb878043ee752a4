#pragma once
#include "ops/kernels.h"

namespace wan::ops {

/// softmax(scale * q k^T + bias) v per head. q [Lq, H, D]; k, v [Lk, H, D]; dtype f32 or bf16, all equal;
/// rel_bias [H, Lq + Lk - 1] f32, element j - i + Lq - 1 added to score (i, j), or absent. Gives [Lq, H, D].
/// Blocked: scratch does not grow with Lq * Lk.
Tensor attention(Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, float scale,
                 const Tensor& rel_bias = {});
/// The same into y, contiguous memory of q's shape and dtype, apart from q, k and v.
void attention_into(Context& ctx, const Tensor& q, const Tensor& k, const Tensor& v, float scale,
                    const Tensor& rel_bias, const Tensor& y);

}  // namespace wan::ops
