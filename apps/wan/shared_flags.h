#pragma once
#include "flags.h"
#include "options.h"

/// The values of flags that generate and plan have in common.
namespace wan::app {

/// Checkpoint, task, device, precision, threads and budgets.
EngineOptions engine_options(const Flags& f, const Environment& environment);
/// Size, frames, solver, steps, shift and guidance.
Request sampling_request(const Flags& f);

}  // namespace wan::app
