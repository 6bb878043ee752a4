#pragma once
#include "ops/kernels.h"
#include "ops/op_list.h"

/// The kernels of the CUDA back end; cuda_table.cpp makes them a table.
namespace wan::ops::cuda {

WAN_FOR_EACH_OP(WAN_DECLARE_KERNEL)

}  // namespace wan::ops::cuda
