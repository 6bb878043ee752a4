#pragma once
#include "ops/kernels.h"
#include "ops/op_list.h"

/// The kernels of the CPU back end; cpu_table.cpp makes them a table.
namespace wan::ops::cpu {

WAN_FOR_EACH_OP(WAN_DECLARE_KERNEL)

}  // namespace wan::ops::cpu
