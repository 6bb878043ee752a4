#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engine/rates.h"

/// GPUs as their makers describe them, and what these models reach on them.
namespace wan::engine {

struct GpuModel {
  const char* name;  ///< for --gpu
  /// Words that the driver's name has, all of them; the first model of the table that matches is taken.
  const char* words[2];
  double bf16;          ///< dense tensor FLOP/s with float32 sums
  double f32;           ///< FLOP/s without tensor cores
  double bandwidth;     ///< bytes/s of its memory
  int64_t memory;       ///< bytes
  int pcie;             ///< generation, of 16 lanes
  double nvlink;        ///< bytes/s to another GPU and back, together; 0: none
  double linear_share;  ///< of bf16 that matrix products reach
  double attention_share;
  bool measured;  ///< the shares were measured with this program; otherwise they are estimates
};

/// In the order of the help text.
const std::vector<GpuModel>& gpu_models();
/// By a name of the table or of a driver, in any case, with or without spaces; null if it is not known.
const GpuModel* find_gpu_model(const std::string& name);

Rates rates_of(const GpuModel& gpu) noexcept;
/// Of so many CPU threads: as an EPYC (Zen 4) with two, scaled.
Rates cpu_rates(int threads) noexcept;

/// What page-locked host memory gives to a GPU, in bytes/s, over 16 lanes of a generation of PCIe (3 to 6).
double pcie_bytes_per_second(int generation) noexcept;
/// What weights and GPUs talk over.
struct Link {
  std::string name;
  double host = 0;  ///< bytes/s from host memory
  double peer = 0;  ///< bytes/s to another GPU, one way
};
/// "pcie3" to "pcie6", "pcie4x8", or "nvlink" where the GPU has it. Throws Error(invalid_argument).
Link parse_link(const std::string& text, const GpuModel* gpu);
/// As its maker connects it.
Link default_link(const GpuModel& gpu);

}  // namespace wan::engine
