// The CPU back end without oneDNN: our own products throughout.
#include "ops/conv_parts_cpu.h"
#include "ops/cpu.h"
#include "ops/plain_linear.h"

namespace wan::ops::cpu {

void linear(Context& ctx, const LinearArgs& a) { plain_linear(ctx, a); }
void conv(Context& ctx, const ConvArgs& a) {
  if (with_residual(ctx, a, conv)) return;
  if (can_fold(a)) return folded_upsample(ctx, a, conv);
  plain_conv(ctx, a, plain_linear);
}

}  // namespace wan::ops::cpu
