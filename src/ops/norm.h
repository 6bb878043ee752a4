#pragma once
#include "ops/kernels.h"

namespace wan::ops {

/// layer_norm(x) * (1 + scale) + shift (WanAttentionBlock's norm1 and norm2, Head's norm). x [L, C] f32;
/// shift, scale [R, C] f32: rows [0, split) of x use row 0, the others the last row. Gives [L, C] of dtype `out`.
Tensor norm_modulate(Context& ctx, const Tensor& x, const Tensor& shift, const Tensor& scale, int64_t split, float eps,
                     DType out);
/// layer_norm(x) * w + b (norm3). x [L, C] f32; w, b [C] f32. Gives [L, C] of dtype ctx.compute.
Tensor layer_norm(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, float eps);
/// What a norm multiplies by and adds: rows for norm_modulate, or the weight and bias of a layer_norm.
struct NormRows {
  Tensor shift, scale;  ///< [R, C] f32; [1, C] if plain
  bool plain = false;   ///< layer_norm
};
/// x += y * gate (gate absent: x += y), then the norm of x in one pass. Shapes as in gated_add and norm_modulate;
/// `split` chooses the rows of both. The norm goes to z [L, C], f32 or bf16, apart from x and y.
void gated_add_norm(Context& ctx, const Tensor& x, const Tensor& y, const Tensor& gate, const NormRows& norm,
                    int64_t split, float eps, const Tensor& z);
/// T5LayerNorm: x / sqrt(mean(x^2) + eps) * w. x [L, C] f32; w [C] f32. Gives [L, C] of dtype `out`.
Tensor rms_norm(Context& ctx, const Tensor& x, const Tensor& w, float eps, DType out);
/// The VAE's RMS_norm over channels, then SiLU if asked. x [..., C] f32 or bf16; gamma [C] f32. Shape and dtype of x.
Tensor channel_norm(Context& ctx, const Tensor& x, const Tensor& gamma, bool silu);
/// The same into y, memory of the caller with x's shape and dtype; y may be x.
void channel_norm_into(Context& ctx, const Tensor& x, const Tensor& gamma, bool silu, const Tensor& y);

/// The RoPE tables of a token grid, in ctx.arena, computed in f64 as upstream does. head_dim is split over
/// (frame, height, width) as head_dim - 4*(head_dim/6), 2*(head_dim/6), 2*(head_dim/6).
Rope3d make_rope(Context& ctx, int64_t frames, int64_t height, int64_t width, int64_t head_dim);
/// In place: RMS norm over the whole width, then rotation if `rope` is given (WanSelfAttention's norm_q and
/// rope_apply). x [L, heads * head_dim] f32 or bf16, the tokens from `first_token` on; w [C] f32.
void rms_norm_rope(Context& ctx, const Tensor& x, const Tensor& w, const Rope3d* rope, int64_t heads, float eps,
                   int64_t first_token = 0);

}  // namespace wan::ops
