#pragma once
#include "ops/kernels.h"

/// The kernels of the CUDA back end; cuda_table.cpp makes them a table.
namespace wan::ops::cuda {

void linear(Context& ctx, const LinearArgs& a);
void norm_modulate(Context& ctx, const NormModulateArgs& a);
void layer_norm(Context& ctx, const LayerNormArgs& a);
void rms_norm(Context& ctx, const RmsNormArgs& a);
void channel_norm(Context& ctx, const ChannelNormArgs& a);
void rms_norm_rope(Context& ctx, const RmsNormRopeArgs& a);
void attention(Context& ctx, const AttentionArgs& a);
void gated_add(Context& ctx, const GatedAddArgs& a);
void gelu_mul(Context& ctx, const GeluMulArgs& a);
void silu(Context& ctx, const SiluArgs& a);
void convert(Context& ctx, const ConvertArgs& a);
void combine(Context& ctx, const CombineArgs& a);
void embedding(Context& ctx, const EmbeddingArgs& a);
void patchify(Context& ctx, const PatchifyArgs& a);
void unpatchify(Context& ctx, const UnpatchifyArgs& a);
void conv(Context& ctx, const ConvArgs& a);
void avg_down(Context& ctx, const ResampleShortcutArgs& a);
void dup_up(Context& ctx, const ResampleShortcutArgs& a);
void interleave_time(Context& ctx, const InterleaveTimeArgs& a);
void to_channels_last(Context& ctx, const ToChannelsLastArgs& a);
void to_planar(Context& ctx, const ToPlanarArgs& a);
void all_finite(Context& ctx, const AllFiniteArgs& a);

}  // namespace wan::ops::cuda
