#pragma once
#include "ops/kernels.h"

namespace wan::ops {

/// Geometry of a convolution; see ConvArgs for the meaning of each field.
struct ConvShape {
  std::array<int64_t, 3> stride{1, 1, 1};
  int64_t pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  bool time_valid = false;
  bool upsample = false;
  bool newest_first = false;
  /// Zero padding that keeps the size for an odd kernel of extent k (CausalConv3d's and Conv2d's padding=k/2).
  static ConvShape same(int64_t k) { return {{1, 1, 1}, k / 2, k / 2, k / 2, k / 2, false, false, false}; }
};

/// Causal convolution of a channels-last video: x [T, H, W, C]; history [t, H, W, C] (t <= KT-1; frames may lie apart)
/// or absent; w [O, KT, KH, KW, C] dtype of x; b [O] f32 or absent. Gives [T', H', W', O] of x's dtype. Follows
/// upstream's CausalConv3d and Conv2d (KT = 1).
Tensor conv(Context& ctx, const Tensor& x, const Tensor& history, const Tensor& w, const Tensor& b,
            const ConvShape& shape);

/// The same into y, memory of the caller with exactly the result's shape and x's dtype; y may not overlap x, history or
/// residual. `residual`, if present, has y's shape and dtype and is added.
void conv_into(Context& ctx, const Tensor& x, const Tensor& history, const Tensor& w, const Tensor& b,
               const ConvShape& shape, const Tensor& y, const Tensor& residual = {});

/// y += AvgDown3D(x): means over groups of channels and a factor_t x factor_s x factor_s neighbourhood.
void add_avg_down(Context& ctx, const Tensor& y, const Tensor& x, int64_t factor_t, int64_t factor_s);
/// y += DupUp3D(x): repeats; on the first chunk of a clip the first factor_t - 1 frames are dropped.
void add_dup_up(Context& ctx, const Tensor& y, const Tensor& x, int64_t factor_t, int64_t factor_s, bool first_chunk);
/// The same for a y that is only a part of the enlargement: its frames from `skip_t` and its rows from `skip_rows` on.
void add_dup_up_part(Context& ctx, const Tensor& y, const Tensor& x, int64_t factor_t, int64_t factor_s, int64_t skip_t,
                     int64_t skip_rows);

}  // namespace wan::ops
