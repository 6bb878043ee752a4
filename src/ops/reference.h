#pragma once
#include <cstdint>

#include "ops/kernels.h"

/// The reference back end: the formulas of kernels.h word by word, one element at a time in f64, rounded once.
/// Slow on purpose; the other back ends are measured against it.
namespace wan::ops {

const KernelTable& reference_kernels() noexcept;

namespace reference {

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

/// Element (i, j, ...) of an f32, bf16 or f16 tensor, whatever its strides.
template <class... Index>
int64_t offset(const Tensor& t, Index... index) noexcept {
  int64_t at = 0;
  int axis = 0;
  ((at += static_cast<int64_t>(index) * t.stride(axis++)), ...);
  return at;
}
double value_at(const Tensor& t, int64_t offset) noexcept;
void set_at(const Tensor& t, int64_t offset, double value) noexcept;

template <class... Index>
double get(const Tensor& t, Index... index) noexcept {
  return value_at(t, offset(t, index...));
}
/// Stores a value, rounded to nearest even.
template <class... Index>
void set(const Tensor& t, double value, Index... index) noexcept {
  set_at(t, offset(t, index...), value);
}

}  // namespace reference
}  // namespace wan::ops
