#include "engine/prepare.h"

#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "engine/ranges.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"
#include "io/text_clean.h"
#include "pipeline/sizes.h"

namespace wan::engine {
namespace {

constexpr auto invalid = ErrorCode::invalid_argument;
constexpr int max_steps = 1000;  // a schedule of the 1000 training timesteps

/// Defaults of the task (and checkpoint) where the request says nothing.
void fill_defaults(Request& r, const pipeline::TaskDefaults& d) {
  require(r.width.has_value() == r.height.has_value(), invalid,
          "[--size] only one side was given; expected both width and height");
  if (!r.width) {
    r.width = d.width;
    r.height = d.height;
  }
  if (!r.frames) r.frames = d.frames;
  if (!r.fps) r.fps = d.fps;
  if (!r.solver) r.solver = d.solver;
  if (!r.steps) r.steps = d.steps;
  if (!r.shift) r.shift = d.shift;
  if (!r.guidance_low) r.guidance_low = d.guidance_low;
  if (!r.guidance_high) r.guidance_high = d.guidance_high;
  if (!r.negative_prompt || r.negative_prompt->empty()) r.negative_prompt = d.negative_prompt;  // as upstream
  if (r.seed < 0) {
    r.seed = random_seed();
    r.seed_was_drawn = true;
  }
}

void check_ranges(const Request& r, const ModelsOnDisk& models) {
  check_multiple("--size width", *r.width, models.width_step());
  check_multiple("--size height", *r.height, models.height_step());
  check_frames("--frame_num", *r.frames, models.vae_config().stride_t());
  check_number("--sample_steps", *r.steps, 1, max_steps);
  check_number("--sample_shift", *r.shift, 1e-3, 1000);
  check_number("--sample_guide_scale", *r.guidance_low, 0, 100);
  check_number("--sample_guide_scale", *r.guidance_high, 0, 100);
  check_number("--fps", *r.fps, 1, 240);
}

/// Whole numbers and thousandths (NTSC's 24000/1001 among them) are kept exact.
io::Rational rational(double fps) {
  for (const int64_t den : {int64_t{1}, int64_t{1001}, int64_t{1000}}) {
    const double scaled = fps * static_cast<double>(den);
    if (std::abs(scaled - std::round(scaled)) < 1e-3) return {std::llround(scaled), den};
  }
  return {std::llround(fps * 1000), 1000};
}

/// The video's size when an image leads: upstream's rules for each task.
pipeline::PixelSize size_for_image(const ModelsOnDisk& models, const Request& r, const io::Image& image) {
  const pipeline::PixelSize picture{image.width, image.height};
  const int64_t area = int64_t{*r.width} * *r.height;
  const int64_t stride = models.vae_config().stride_s();
  const auto& patch = models.dit_config().patch;
  if (models.task() == Task::i2v_A14B)
    return pipeline::area_size(picture, area, {stride, stride}, {patch[2], patch[1]});
  return pipeline::best_output_size(picture, {models.width_step(), models.height_step()}, area);
}

Shape latent_shape(const ModelsOnDisk& models, const PreparedRequest& p) {
  const models::VaeConfig& vae = models.vae_config();
  return {vae.z_dim, vae.latent_frames(p.frames), p.height / vae.stride_s(), p.width / vae.stride_s()};
}

/// The shape of tensor `name` in a safetensors file that the user gave.
Shape tensor_shape(const std::filesystem::path& path, const char* flag, const char* name) {
  const io::SafetensorsFile file = io::open_safetensors(path);
  const io::TensorEntry* entry = file.tensors.find(name);
  require(entry != nullptr, ErrorCode::bad_file, "[{} {}] the file has no tensor '{}'", flag, path.string(), name);
  require(entry->shape.size() == 4, ErrorCode::bad_file, "[{} {}] tensor '{}' has shape {}, expected [C, F, H, W]",
          flag, path.string(), name, io::shape_to_string(entry->shape));
  return Shape(std::span<const int64_t>(entry->shape));
}

/// Decode only: the latents decide size and frames.
void size_from_latents(const ModelsOnDisk& models, PreparedRequest& p) {
  const models::VaeConfig& vae = models.vae_config();
  p.latent = tensor_shape(p.request.latents, "--latents", "latents");
  require(p.latent[0] == vae.z_dim && p.latent.numel() > 0, ErrorCode::bad_file,
          "[--latents {}] shape {} came, expected {} channels for this checkpoint's VAE", p.request.latents.string(),
          to_string(p.latent), vae.z_dim);
  p.frames = vae.video_frames(p.latent[1]);
  p.height = p.latent[2] * vae.stride_s();
  p.width = p.latent[3] * vae.stride_s();
  p.request.frames = static_cast<int>(p.frames);
  p.request.height = static_cast<int>(p.height);
  p.request.width = static_cast<int>(p.width);
}

void check_files(const PreparedRequest& p) {
  const Request& r = p.request;
  if (!r.output.empty()) {
    io::VideoParams params{p.width, p.height, p.fps, {}, {}};
    io::check_video_output(r.output, params);
  }
  if (!r.save_latents.empty()) io::check_output_path(r.save_latents);
  if (!r.dump.empty()) io::check_output_path(r.dump);
  if (!r.noise.empty() && r.latents.empty()) {
    const Shape noise = tensor_shape(r.noise, "--noise", "noise");
    require(noise == p.latent, ErrorCode::bad_file, "[--noise {}] the noise has shape {}, this request needs {}",
            r.noise.string(), to_string(noise), to_string(p.latent));
  }
}

}  // namespace

PreparedRequest prepare(const ModelsOnDisk& models, const Request& request) {
  PreparedRequest p;
  p.request = request;
  Request& r = p.request;
  fill_defaults(r, models.defaults());
  if (r.latents.empty()) {
    check_ranges(r, models);
    require(
        models.task() != Task::t2v_A14B || r.image.empty(), invalid,
        "[--image] this checkpoint makes videos from text alone; leave --image out, or use an i2v or ti2v checkpoint");
    require(models.task() != Task::i2v_A14B || !r.image.empty(), invalid,
            "[--image] is missing: this checkpoint animates an image; give one with --image FILE");
    p.clean_prompt = io::clean_prompt(r.prompt);
    p.clean_negative = io::clean_prompt(*r.negative_prompt);
    p.frames = *r.frames;
    p.width = *r.width;
    p.height = *r.height;
    if (!r.image.empty()) {
      p.image = io::read_image(r.image);
      const pipeline::PixelSize size = size_for_image(models, r, *p.image);
      p.width = size.width;
      p.height = size.height;
    }
    p.latent = latent_shape(models, p);
  } else {
    size_from_latents(models, p);
  }
  p.fps = rational(*r.fps);
  check_files(p);
  return p;
}

}  // namespace wan::engine
