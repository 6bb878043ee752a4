#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wan/wan.h"

/// What a generation will take, before anything is loaded: memory by stage and time, on this machine or another one.
namespace wan {

struct PlanOptions {
  /// vram: of each GPU, default what it has; ram: default what is available, for a described GPU 0 (not looked at).
  /// Without ckpt_dir the official dimensions of `task` (t2v-A14B if that is left out too) are planned with.
  EngineOptions engine;
  /// As for generate(). Without ckpt_dir only what decides memory and time is looked at, and no file is opened.
  Request request;
  bool from_image = false;  ///< ti2v-5B: plan for an image without having one; i2v-A14B always does
  std::string gpu;          ///< "A40", "H100"...; empty: as engine.device says, on this machine
  int gpus = 0;             ///< how many; 0: as this machine has, 1 of a described one
  std::string link;         ///< "pcie4", "pcie5x8", "nvlink"; default: as the GPU's maker connects it
};

/// One stage under one strategy; the most bytes at once, and its seconds.
struct PlanStage {
  Stage stage = Stage::load;
  int64_t gpu_bytes = 0;  ///< of each GPU, as its driver counts them; 0 on the CPU
  int64_t host_bytes = 0;
  double seconds = 0;
};

struct PlanStrategy {
  std::string name;                         ///< "resident", "streamed", "guidance-parallel + Ulysses x 2"
  int gpus = 1;                             ///< that it uses; 0: the CPU
  bool available = true;                    ///< to one process; else it takes --gpus
  bool fits = false;                        ///< within the budgets of GPU and host
  std::string note;                         ///< why it does not fit, or what it does
  int64_t resident_blocks = 0, blocks = 0;  ///< of the transformer at work: that stay on the GPU, and all
  int64_t gpu_peak = 0, host_peak = 0;
  int64_t gpu_minimum = 0;  ///< the smallest budget of a GPU in which it runs
  std::vector<PlanStage> stages;
  double step_seconds = 0;  ///< the mean
  double total_seconds = 0;
};

/// The same request with something changed, by the best strategy that this version has.
struct PlanChange {
  std::string what;  ///< "4 steps without guidance (a distilled model)"
  std::string flags;
  bool fits = false;
  int64_t peak = 0;     ///< of the GPU, or of the host where the CPU computes
  int64_t minimum = 0;  ///< the smallest budget in which it runs
  double step_seconds = 0, total_seconds = 0;
};

struct PlanReport {
  Task task = Task::t2v_A14B;
  std::string dimensions;  ///< "official", or the checkpoint's folder
  int width = 0, height = 0, frames = 0, steps = 0;
  int64_t tokens = 0;
  bool guided = true;  ///< two forwards a step
  Precision precision = Precision::bf16;
  std::string device;  ///< "A40", "NVIDIA H100 80GB HBM3" or "CPU"
  int gpus = 0;        ///< 0: the CPU computes
  int threads = 0;
  bool estimate = true;  ///< times are scaled from another device; else this kind was measured
  int64_t vram = 0;      ///< budget per GPU
  int64_t ram = 0;       ///< budget of the host; 0: not known
  std::string link;
  double link_bytes_per_second = 0;
  int64_t file_bytes = 0;  ///< of the weights' files
  std::vector<PlanStrategy> strategies;
  int chosen = -1;  ///< which one a generation takes; -1: none fits
  std::string why;
  std::vector<PlanChange> changes;
  std::vector<std::string> notes;  ///< assumptions
};

/// Throws as Engine::open and Engine::prepare do, and Error(invalid_argument) for a GPU or link that is not known.
PlanReport make_plan(const PlanOptions& options);

/// The names for PlanOptions::gpu.
std::vector<std::string> known_gpus();

}  // namespace wan
