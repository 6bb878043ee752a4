#pragma once
#include "core/error.h"
#include "models/vae_blocks.h"

/// What the streams of decoder and encoder share.
namespace wan::models {

// The width of what a stage gives.
inline int64_t next_width(const std::vector<VaeStage>& stages, size_t i) {
  return stages[i].resample ? stages[i + 1].in : stages[i].out;
}

inline bool has_shortcut(const VaeConfig& c) { return c.version == VaeVersion::v22; }

inline VaeStageRun run_of(const VaeConfig& c, const std::vector<VaeStage>& stages, size_t i, bool first,
                          const RowBand& band = {}) {
  return {stages[i], has_shortcut(c), first, band};
}

// The DiT's latents are (z - mean) / std.
struct Affine {
  Tensor scale, shift;  // [z_dim] f32
};

// The frames that a convolution over three frames keeps of a layer that `band` holds, and the band behind it.
inline RowBand expect_conv(FramePools& pools, const RowBand& band, int64_t width, int64_t channels) {
  const ZeroRows zeros = band.zeros();
  const int64_t rows = zeros.above + band.kept(block_reach) + band.rows() + zeros.below;
  if (!band.done()) pools.expect({1, rows, width, channels}, 1, zeros);
  return band.conv();
}

inline void check_clip(const char* where, const char* name, const Tensor& t, const Shape& expected) {
  require(t && t.dtype == DType::f32 && t.shape == expected, ErrorCode::invalid_argument,
          "[{}] {} is {}, expected f32 {}", where, name, to_string(t), to_string(expected));
}

}  // namespace wan::models
