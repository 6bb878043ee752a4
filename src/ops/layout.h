#pragma once
#include "ops/kernels.h"

namespace wan::ops {

/// Tokens of a latent: x [C, F, H, W] f32 and optionally extra [C2, F, H, W] f32, behind it in the channels.
/// Gives [L, (C + C2) * pt*ph*pw] of dtype ctx.compute in the order of patch_embedding's weight (c, pt, ph, pw).
Tensor patchify(Context& ctx, const Tensor& x, const Tensor& extra, std::array<int64_t, 3> patch);
/// Head output [L, pt*ph*pw * C] f32 to y [C, F, H, W] f32 (upstream's unpatchify).
void unpatchify(Context& ctx, const Tensor& x, const Tensor& y, std::array<int64_t, 3> patch);

/// x [C, T, H, W] f32 to [T, H/p, W/p, C*p*p] of dtype ctx.compute, times scale [C] plus shift [C] (both or none).
Tensor to_channels_last(Context& ctx, const Tensor& x, const Tensor& scale, const Tensor& shift, int64_t patch = 1);
/// x [T, H/p, W/p, C*p*p] to y [C, T, H, W] f32 (a slice in time is fine), affine as above, clamped to [-1, 1] if
/// asked.
void to_planar(Context& ctx, const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& y,
               int64_t patch = 1, bool clamp = false);
/// Frames from channel pairs: [T, H, W, 2C] to [2T, H, W, C] (VAE upsample3d).
Tensor interleave_time(Context& ctx, const Tensor& x);
/// to = from, both [A, B, C] f32 or bf16 of one shape and dtype with a dense last dimension and any strides before it.
void copy_rows(Context& ctx, const Tensor& from, const Tensor& to);
/// Values of the host as an f32 tensor in ctx.arena.
Tensor upload(Context& ctx, std::span<const float> values, const Shape& shape);

}  // namespace wan::ops
