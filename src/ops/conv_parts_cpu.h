#pragma once
#include "ops/kernels.h"

/// Ways to make one convolution from others that need less scratch or fewer multiplications.
namespace wan::ops::cpu {

using Conv = void (*)(Context&, const ConvArgs&);

/// Whether `a` is a 3x3 "same" convolution of a doubled f32 image, which folded_upsample can do.
bool can_fold(const ConvArgs& a) noexcept;
/// Doubling and then convolving 3x3 is four 2x2 convolutions of the small image, one for each place within a doubled
/// pixel: 16 products for 36, and no doubled image. The weights of taps that see the same small pixel are added; in f32
/// that costs no accuracy worth naming (bf16 sums would be rounded once more, so those are not folded).
void folded_upsample(Context& ctx, const ConvArgs& a, Conv conv);

/// A convolution with a residual as one without and an addition. False if there is no residual.
bool with_residual(Context& ctx, const ConvArgs& a, Conv conv);

/// Calls `conv` for parts of the clip so that scratch stays small: outputs that see frames of the history (which must
/// be joined to x) apart from those that see x alone, and doubled images few at a time. False if `a` is one part.
bool in_parts(Context& ctx, const ConvArgs& a, Conv conv);

}  // namespace wan::ops::cpu
