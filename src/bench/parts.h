#pragma once
#include <vector>

#include "bench/machine.h"
#include "engine/dimensions.h"

namespace wan::bench {

/// What is computed, all decided.
struct Plan {
  Task task = Task::t2v_A14B;
  engine::Dimensions dimensions;
  int64_t width = 0, height = 0, frames = 0;  // pixels
  int runs = 3;
  std::optional<int64_t> layers;  // of DiT and text encoder, where not all
  int64_t vae_bands = 1;          // of rows
};

/// One forward of the DiT at one timestep, the prompt's keys and values made before, as in the step loop.
BenchPart bench_dit(Machine& machine, const Plan& plan);
/// The encoding of one prompt that fills the text length, with all weights resident.
BenchPart bench_t5(Machine& machine, const Plan& plan);
/// Decoding the clip; before it, for tasks that start from an image, encoding what the task encodes: the image and zero
/// frames (I2V), or the image alone (TI2V). Frames go through in chunks as in a generation, and stay on the device.
std::vector<BenchPart> bench_vae(Machine& machine, const Plan& plan);

}  // namespace wan::bench
