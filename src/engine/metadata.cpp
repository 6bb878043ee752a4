#include "engine/metadata.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace wan::engine {

std::string metadata_json(const PreparedRequest& prepared, const EngineOptions& options, Task task,
                          const std::string& fingerprint) {
  using Json = nlohmann::ordered_json;
  const Request& r = prepared.request;
  Json flags;
  flags["task"] = to_string(task);
  flags["ckpt_dir"] = options.ckpt_dir.string();
  if (r.latents.empty()) {
    flags["prompt"] = r.prompt;
    flags["negative_prompt"] = *r.negative_prompt;
    if (!r.image.empty()) flags["image"] = r.image.string();
    flags["size"] = fmt::format("{}*{}", *r.width, *r.height);
    flags["frame_num"] = *r.frames;
    flags["sample_solver"] = to_string(*r.solver);
    flags["sample_steps"] = *r.steps;
    flags["sample_shift"] = *r.shift;
    flags["sample_guide_scale"] = Json::array({*r.guidance_low, *r.guidance_high});
    flags["base_seed"] = r.seed;
    flags["rng"] = to_string(r.rng);
    if (!r.noise.empty()) flags["noise"] = r.noise.string();
  } else {
    flags["latents"] = r.latents.string();
  }
  flags["fps"] = *r.fps;
  flags["dtype"] = to_string(options.precision.value_or(Precision::f32));
  if (options.convert_model_dtype) flags["convert_model_dtype"] = true;

  Json out;
  out["program"] = "wan.cpp";
  out["version"] = version();
  out["request"] = std::move(flags);
  out["model"] = {{"fingerprint", fingerprint}};
  out["video"] = {{"width", prepared.width}, {"height", prepared.height}, {"frames", prepared.frames}};
  return out.dump();
}

}  // namespace wan::engine
