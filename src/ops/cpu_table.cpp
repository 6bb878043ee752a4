#include "ops/cpu.h"

namespace wan::ops {

const KernelTable& cpu_kernels() noexcept {
  static constexpr KernelTable table{
      .name = "cpu",
      .linear = cpu::linear,
      .norm_modulate = cpu::norm_modulate,
      .layer_norm = cpu::layer_norm,
      .rms_norm = cpu::rms_norm,
      .channel_norm = cpu::channel_norm,
      .rms_norm_rope = cpu::rms_norm_rope,
      .attention = cpu::attention,
      .gated_add = cpu::gated_add,
      .gelu_mul = cpu::gelu_mul,
      .silu = cpu::silu,
      .convert = cpu::convert,
      .combine = cpu::combine,
      .embedding = cpu::embedding,
      .patchify = cpu::patchify,
      .unpatchify = cpu::unpatchify,
      .conv = cpu::conv,
      .avg_down = cpu::avg_down,
      .dup_up = cpu::dup_up,
      .interleave_time = cpu::interleave_time,
      .to_channels_last = cpu::to_channels_last,
      .to_planar = cpu::to_planar,
      .all_finite = cpu::all_finite,
  };
  return table;
}

}  // namespace wan::ops
