#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/memory_plan.h"

/// Requests that do not fit, and what would make them fit.
namespace wan::engine {

/// A request with something else.
struct SpecChange {
  std::string what;   ///< "49 frames instead of 81"
  std::string flags;  ///< "--frame_num 49"
  GenerationSpec spec;
};

/// The memory that a generation computes in.
struct FitBudget {
  std::string device = "CPU";  ///< its name in messages
  int64_t bytes = 0;           ///< that may be used: of the GPU, or of the host where the CPU computes
  int64_t capacity = 0;        ///< that the device has, where bytes was set below it (--vram, --ram); else 0
  int64_t host_bytes = 0;      ///< with a GPU: what the host has; 0: not known
};

/// Changes with which the request fits, each checked by a plan of its own; at most `most`, the cheapest first: those
/// that leave the video as it is (the text encoder on the CPU, a larger budget), bf16 for f32, as many frames as fit,
/// the largest size of the same shape that fits, both together, the CPU instead of the GPU.
std::vector<SpecChange> changes_that_fit(const GenerationSpec& spec, const FitBudget& budget, size_t most = 3);

/// About `area` pixels in the spec's ratio, the larger side rounded down to its step, the smaller one to the nearest:
/// 1280x720 in the area of 832x480 gives 832x480.
GenerationSpec with_area(GenerationSpec spec, int64_t area);

/// Throws Error(out_of_memory), in well under a second and before anything is loaded, if the request cannot run in the
/// budget even with every block streamed: what it needs, where, and the three cheapest changes that make it fit.
void require_fit(const MemoryPlan& plan, const FitBudget& budget);

/// "6.4 GB"
std::string gigabytes(int64_t bytes);

}  // namespace wan::engine
