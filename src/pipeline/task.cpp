#include "pipeline/task.h"

namespace wan::pipeline {
namespace {

// sample_neg_prompt of upstream's shared_config.py; the models were tuned with it.
constexpr const char* negative_prompt =
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画"
    "面，"
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

}  // namespace wan::pipeline
