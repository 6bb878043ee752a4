#include "shared_flags.h"

#include "find_checkpoint.h"

namespace wan::app {

EngineOptions engine_options(const Flags& f, const Environment& environment) {
  EngineOptions e;
  e.ckpt_dir = find_checkpoint(f.filled("ckpt_dir"), environment);
  if (const auto name = f.filled("task"); !name.empty()) e.task = parse_task(name);
  if (const auto name = f.filled("device"); !name.empty()) e.device = name;
  if (const auto name = f.filled("dtype"); !name.empty()) e.precision = parse_precision(name);
  e.threads = f.threads();
  e.convert_model_dtype = f.given("convert_model_dtype");
  e.t5_cpu = f.given("t5_cpu");
  e.vram = f.parsed("vram", parse_bytes);
  e.ram = f.parsed("ram", parse_bytes);
  return e;
}

Request sampling_request(const Flags& f) {
  Request r;
  if (const auto size = f.parsed("size", parse_size)) {
    r.width = size->first;
    r.height = size->second;
  }
  r.frames = f.parsed("frame_num", parse_int);
  if (const auto name = f.filled("sample_solver"); !name.empty()) r.solver = parse_solver(name);
  r.steps = f.parsed("sample_steps", parse_int);
  r.shift = f.parsed("sample_shift", parse_number);
  if (const auto scale = f.parsed("sample_guide_scale", parse_guidance)) {
    r.guidance_low = scale->first;
    r.guidance_high = scale->second;
  }
  return r;
}

}  // namespace wan::app
