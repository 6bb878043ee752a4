#pragma once
#include <cuda_runtime_api.h>

#include <source_location>

namespace wan::cuda {

/// Throws Error(device), or Error(out_of_memory) where memory ran out, that names the error, the call's place in the
/// source and what to do. Clears CUDA's sticky error first, so that the next call does not report it again.
void check(cudaError_t status, std::source_location where = std::source_location::current());

/// For directly after a kernel launch: reports what the launch itself refused.
void check_launch(std::source_location where = std::source_location::current());

/// What the check functions of all CUDA libraries throw.
[[noreturn]] void fail_call(const char* library, const char* name, const char* text, bool out_of_memory,
                            std::source_location where);

}  // namespace wan::cuda
