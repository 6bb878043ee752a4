#include "wan/types.h"

#include "core/error.h"

namespace wan {

const char* to_string(Task task) noexcept {
  switch (task) {
    case Task::t2v_A14B: return "t2v-A14B";
    case Task::i2v_A14B: return "i2v-A14B";
    case Task::ti2v_5B: return "ti2v-5B";
  }
  return "?";
}

const char* to_string(Precision precision) noexcept { return precision == Precision::f32 ? "f32" : "bf16"; }

const char* to_string(SolverKind solver) noexcept {
  switch (solver) {
    case SolverKind::unipc: return "unipc";
    case SolverKind::dpmpp: return "dpm++";
    case SolverKind::euler: return "euler";
  }
  return "?";
}

const char* to_string(Rng rng) noexcept { return rng == Rng::cuda ? "cuda" : "cpu"; }

const char* to_string(Stage stage) noexcept {
  switch (stage) {
    case Stage::load: return "load";
    case Stage::text: return "text";
    case Stage::image: return "image";
    case Stage::sample: return "sample";
    case Stage::decode: return "decode";
    case Stage::save: return "save";
  }
  return "?";
}

namespace {

template <class E, size_t N>
E parse(const std::string& name, const char* what, const E (&values)[N]) {
  std::string valid;
  for (const E value : values) {
    if (name == to_string(value)) return value;
    valid += (valid.empty() ? "" : ", ") + std::string(to_string(value));
  }
  fail(ErrorCode::invalid_argument, "[{}] '{}' is unknown; expected one of {}", what, name, valid);
}

}  // namespace

Task parse_task(const std::string& name) {
  return parse(name, "task", {Task::t2v_A14B, Task::i2v_A14B, Task::ti2v_5B});
}
Precision parse_precision(const std::string& name) { return parse(name, "dtype", {Precision::f32, Precision::bf16}); }
SolverKind parse_solver(const std::string& name) {
  return parse(name, "solver", {SolverKind::unipc, SolverKind::dpmpp, SolverKind::euler});
}
Rng parse_rng(const std::string& name) { return parse(name, "rng", {Rng::cuda, Rng::cpu}); }

}  // namespace wan
