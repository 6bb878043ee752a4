#pragma once
#include <string>

#include "wan/error.h"

namespace wan {

enum class Task { t2v_A14B, i2v_A14B, ti2v_5B };
enum class Precision { f32, bf16 };
enum class SolverKind {
  unipc,  ///< flow UniPC (order 2, bh2, with corrector)
  dpmpp,  ///< flow DPM-Solver++ 2M (midpoint)
  euler,  ///< flow matching Euler
};
enum class Rng {
  cuda,  ///< torch.randn on a CUDA generator: a seed gives upstream's video
  cpu,   ///< torch.randn on a CPU generator
};

/// What a generation is doing.
enum class Stage { load, text, image, sample, decode, save };

/// Names as on the command line: "t2v-A14B", "bf16", "dpm++", "cuda". The parsers throw Error(invalid_argument)
/// that lists the valid names.
const char* to_string(Task task) noexcept;
const char* to_string(Precision precision) noexcept;
const char* to_string(SolverKind solver) noexcept;
const char* to_string(Rng rng) noexcept;
const char* to_string(Stage stage) noexcept;
Task parse_task(const std::string& name);
Precision parse_precision(const std::string& name);
SolverKind parse_solver(const std::string& name);
Rng parse_rng(const std::string& name);

}  // namespace wan
