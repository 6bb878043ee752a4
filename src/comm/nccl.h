#pragma once
#include <memory>
#include <string>

#include "comm/communicator.h"
#include "comm/control.h"

namespace wan::comm {

/// The version of the NCCL that would be used, such as "2.28.3"; all ranks of a job need the same. Loads it.
/// Throws Error(unsupported) that says what to install where there is none, or in a build without CUDA.
std::string nccl_version();

/// Ranks that are processes with a GPU each, through NCCL; CUDA's device `gpu` becomes this thread's current one. Bytes
/// are the GPU's, and calls are queued on their stream. To be made by all ranks of `control` at once. When the job
/// ends, work that waits on the GPU for another rank is given up, so that waiting for the stream returns; Context::poll
/// then throws the verdict. A circle of sends of more than 16 KB before any receive may wait for ever: use all_to_all.
/// Throws Error(unsupported) as nccl_version() does.
std::unique_ptr<Communicator> make_nccl(std::shared_ptr<Control> control, int gpu);

}  // namespace wan::comm
