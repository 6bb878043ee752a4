#include "pipeline/task.h"

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

namespace pipeline {
namespace {

// sample_neg_prompt of upstream's shared_config.py; the models were tuned with it.
constexpr const char* negative_prompt =
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，"
    "杂乱的背景，三条腿，背景人很多，倒着走";

}  // namespace

TaskDefaults defaults_of(Task task) {
  TaskDefaults d;
  d.negative_prompt = negative_prompt;
  switch (task) {
    case Task::t2v_A14B:
      d.boundary = 0.875;
      d.shift = 12;
      d.guidance_low = 3;
      d.guidance_high = 4;
      break;
    case Task::i2v_A14B:
      d.boundary = 0.900;
      d.shift = 5;
      d.guidance_low = d.guidance_high = 3.5;
      break;
    case Task::ti2v_5B:
      d.steps = 50;
      d.height = 704;
      d.frames = 121;
      d.fps = 24;
      break;
  }
  return d;
}

}  // namespace pipeline
}  // namespace wan
