#pragma once
#include <functional>
#include <memory>

#include "ops/kernels.h"

namespace wan::ops {

/// The CUDA back end for the current GPU: its kernel table, and the library handles and plans that its kernels keep.
/// Contexts that use it carry the same `stream` (a cudaStream_t); one thread at a time.
/// Throws Error(unsupported) in a build without CUDA.
std::shared_ptr<const KernelTable> make_cuda_kernels(void* stream);

/// Makes plans of convolutions in the background before they are used for the first time, where each would take some
/// tenths of a second. `show` makes the calls that are to come, on a table that computes nothing and with memory that
/// need not exist. `cuda` comes from make_cuda_kernels and must outlive the result; null where there is nothing to
/// make.
std::shared_ptr<void> make_plans_ahead(const KernelTable& cuda, const std::function<void(const KernelTable&)>& show);

}  // namespace wan::ops
