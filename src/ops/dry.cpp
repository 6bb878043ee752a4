#include "ops/cpu.h"

namespace wan::ops {
namespace {

template <class Args>
void nothing(Context&, const Args&) {}

}  // namespace

// The ops that take scratch do that and no more on a dry device.
const KernelTable& dry_kernels() noexcept {
  static constexpr KernelTable table{
      .name = "dry",
      .linear = cpu::linear,
      .norm_modulate = nothing,
      .layer_norm = nothing,
      .rms_norm = nothing,
      .channel_norm = nothing,
      .rms_norm_rope = nothing,
      .attention = cpu::attention,
      .gated_add = nothing,
      .gelu_mul = nothing,
      .silu = nothing,
      .convert = nothing,
      .combine = nothing,
      .embedding = nothing,
      .patchify = nothing,
      .unpatchify = nothing,
      .conv = cpu::conv,
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
