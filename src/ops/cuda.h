#pragma once
#include <memory>

#include "ops/kernels.h"

namespace wan::ops {

/// The CUDA back end for the current GPU: its kernel table, and the library handles and plans that its kernels keep.
/// Contexts that use it carry the same `stream` (a cudaStream_t); one thread at a time.
/// Throws Error(unsupported) in a build without CUDA.
std::shared_ptr<const KernelTable> make_cuda_kernels(void* stream);

}  // namespace wan::ops
