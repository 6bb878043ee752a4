#pragma once
#include <functional>

#include "ops/cudnn_plans.h"
#include "ops/kernels.h"

namespace wan::ops::cuda {

/// The problems for cuDNN that conv() comes to with these arguments, as long as cuDNN can do all of them; none where it
/// goes another way. Looks at addresses, not at what is there.
void conv_plan_shapes(const ConvArgs& args, const std::function<void(const ConvPlanShape&)>& use);

}  // namespace wan::ops::cuda
