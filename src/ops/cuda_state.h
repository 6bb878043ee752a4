#pragma once
#include <cuda_runtime_api.h>

#include "ops/attention_choice.h"
#include "ops/cublaslt_plans.h"
#include "ops/cudnn_plans.h"
#include "ops/kernels.h"

namespace wan::ops::cuda {

/// What the kernels of one table share.
struct CudaState {
  explicit CudaState(cudaStream_t stream);
  Capability capability;
  CublasLtPlans cublaslt;
  CudnnPlans cudnn;
};

/// The table that ctx.kernels points to when a kernel of this back end is called through it.
struct CudaTable : KernelTable {
  CudaState* state = nullptr;
};

inline CudaState& state_of(const Context& ctx) noexcept { return *static_cast<const CudaTable&>(*ctx.kernels).state; }
inline cudaStream_t stream_of(const Context& ctx) noexcept { return static_cast<cudaStream_t>(ctx.stream); }

}  // namespace wan::ops::cuda
