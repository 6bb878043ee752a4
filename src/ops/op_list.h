#pragma once

/// Every op, as OP(name, its arguments). The kernel table, the declarations of each back end and most tables come from
/// this list, so that an op is added in one place.
#define WAN_FOR_EACH_OP(OP)                \
  OP(linear, LinearArgs)                   \
  OP(norm_modulate, NormModulateArgs)      \
  OP(layer_norm, LayerNormArgs)            \
  OP(rms_norm, RmsNormArgs)                \
  OP(channel_norm, ChannelNormArgs)        \
  OP(rms_norm_rope, RmsNormRopeArgs)       \
  OP(attention, AttentionArgs)             \
  OP(gated_add, GatedAddArgs)              \
  OP(gated_add_norm, GatedAddNormArgs)     \
  OP(gelu_mul, GeluMulArgs)                \
  OP(silu, SiluArgs)                       \
  OP(convert, ConvertArgs)                 \
  OP(combine, CombineArgs)                 \
  OP(embedding, EmbeddingArgs)             \
  OP(patchify, PatchifyArgs)               \
  OP(unpatchify, UnpatchifyArgs)           \
  OP(conv, ConvArgs)                       \
  OP(avg_down, ResampleShortcutArgs)       \
  OP(dup_up, ResampleShortcutArgs)         \
  OP(interleave_time, InterleaveTimeArgs)  \
  OP(copy_rows, CopyRowsArgs)              \
  OP(to_channels_last, ToChannelsLastArgs) \
  OP(to_planar, ToPlanarArgs)              \
  OP(all_finite, AllFiniteArgs)

/// Declares a back end's kernel: WAN_FOR_EACH_OP(WAN_DECLARE_KERNEL) inside its namespace.
#define WAN_DECLARE_KERNEL(op, Args) void op(Context& ctx, const Args& a);
