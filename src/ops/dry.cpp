#include "ops/kernels.h"

namespace wan::ops {
namespace {

template <class Args>
void nothing(Context&, const Args&) {}

}  // namespace

const KernelTable& dry_kernels() noexcept {
  static constexpr KernelTable table{
      .name = "dry",
      .linear = nothing,
      .norm_modulate = nothing,
      .layer_norm = nothing,
      .rms_norm = nothing,
      .channel_norm = nothing,
      .rms_norm_rope = nothing,
      .attention = nothing,
      .gated_add = nothing,
      .gelu_mul = nothing,
      .silu = nothing,
      .convert = nothing,
      .combine = nothing,
      .embedding = nothing,
      .patchify = nothing,
      .unpatchify = nothing,
      .conv = nothing,
      .avg_down = nothing,
      .dup_up = nothing,
      .interleave_time = nothing,
      .to_channels_last = nothing,
      .to_planar = nothing,
      .all_finite = nothing,
  };
  return table;
}

}  // namespace wan::ops
