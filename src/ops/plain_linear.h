#pragma once
#include "ops/kernels.h"

namespace wan::ops::cpu {

/// linear with our own products: for builds without oneDNN and for what oneDNN does not do on this processor.
void plain_linear(Context& ctx, const LinearArgs& a);
/// conv as chunks of gathered patches, each a linear layer through `multiply`.
void plain_conv(Context& ctx, const ConvArgs& a, void (*multiply)(Context&, const LinearArgs&));

}  // namespace wan::ops::cpu
