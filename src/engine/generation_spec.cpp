#include "engine/generation_spec.h"

#include "core/error.h"
#include "engine/ranges.h"
#include "pipeline/task.h"

namespace wan::engine {
namespace {

GenerationSpec spec_at(const ComputePlace& place) {
  GenerationSpec s;
  s.compute = place.compute;
  s.cuda = place.cuda;
  s.text_on_cpu = place.text_on_cpu;
  s.round_to_bf16 = place.round_to_bf16;
  s.threads = place.threads;
  s.mesh = place.mesh;
  s.sharded = place.sharded;
  return s;
}

}  // namespace

GenerationSpec generation_spec(const ModelsOnDisk& models, const PreparedRequest& prepared, const ComputePlace& place) {
  const Request& r = prepared.request;
  GenerationSpec s = spec_at(place);
  s.dimensions = {models.dit_config(), models.umt5_config(), models.vae_config()};
  s.task = models.task();
  s.two_experts = models.files().two_experts;
  s.width = prepared.width;
  s.height = prepared.height;
  s.frames = prepared.frames;
  s.image = prepared.image.has_value();
  s.decode_only = !r.latents.empty();
  s.solver = *r.solver;
  s.steps = *r.steps;
  s.shift = *r.shift;
  s.boundary = models.defaults().boundary;
  s.guidance_low = *r.guidance_low;
  s.guidance_high = *r.guidance_high;
  s.files = &models.files();
  return s;
}

GenerationSpec generation_spec(const Dimensions& dimensions, Task task, const pipeline::TaskDefaults& defaults,
                               const Request& r, const ComputePlace& place) {
  require(r.width.has_value() == r.height.has_value(), ErrorCode::invalid_argument,
          "[--size] only one side was given; expected both width and height");
  GenerationSpec s = spec_at(place);
  s.dimensions = dimensions;
  s.task = task;
  s.two_experts = pipeline::has_experts(task);
  s.width = r.width.value_or(defaults.width);
  s.height = r.height.value_or(defaults.height);
  s.frames = r.frames.value_or(defaults.frames);
  s.image = task == Task::i2v_A14B || !r.image.empty();
  s.solver = r.solver.value_or(defaults.solver);
  s.steps = r.steps.value_or(defaults.steps);
  s.shift = r.shift.value_or(defaults.shift);
  s.boundary = defaults.boundary;
  s.guidance_low = r.guidance_low.value_or(defaults.guidance_low);
  s.guidance_high = r.guidance_high.value_or(defaults.guidance_high);
  check_multiple("--size width", s.width, dimensions.width_step());
  check_multiple("--size height", s.height, dimensions.height_step());
  check_frames("--frame_num", s.frames, dimensions.vae.stride_t());
  check_number("--sample_steps", static_cast<double>(s.steps), 1, 1000);
  check_number("--sample_shift", s.shift, 1e-3, 1000);
  check_number("--sample_guide_scale", s.guidance_low, 0, 100);
  check_number("--sample_guide_scale", s.guidance_high, 0, 100);
  require(task != Task::t2v_A14B || r.image.empty(), ErrorCode::invalid_argument,
          "[--image] this task makes videos from text alone; leave --image out, or plan for i2v-A14B or ti2v-5B");
  return s;
}

}  // namespace wan::engine
