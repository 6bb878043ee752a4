#pragma once
#include <cuda_runtime_api.h>

#include "ops/attention_choice.h"

namespace wan::ops::cuda {

/// Whether this program holds the kernel's code for the current GPU (sm_90a). Waits for the stream.
bool has_hopper_attention(cudaStream_t stream);

/// softmax(scale q k^T) v for shapes for which choose_attention gives AttentionKernel::hopper. Weights are rounded to
/// bf16 before the values, sums are f32. Needs no scratch.
void hopper_attention(cudaStream_t stream, const AttentionShape& shape, const void* q, const void* k, const void* v,
                      void* y);

}  // namespace wan::ops::cuda
