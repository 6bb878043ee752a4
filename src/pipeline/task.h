#pragma once
#include <optional>
#include <string>

#include "wan/wan.h"

/// What upstream's configs say per task (wan/configs/*.py), and nothing that a checkpoint says itself.
namespace wan::pipeline {

struct TaskDefaults {
  double boundary = 0;  ///< of 1000: timesteps at or above boundary * 1000 use the high-noise expert; 0: one expert
  double shift = 5;
  int steps = 40;
  double guidance_low = 5, guidance_high = 5;
  int width = 1280, height = 720;
  int frames = 81;
  double fps = 16;
  SolverKind solver = SolverKind::unipc;
  std::string negative_prompt;
};

TaskDefaults defaults_of(Task task);

/// Two experts (A14B) or one model (5B).
inline bool has_experts(Task task) noexcept { return task != Task::ti2v_5B; }

}  // namespace wan::pipeline
