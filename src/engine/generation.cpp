#include "engine/generation.h"

#include "core/error.h"
#include "core/rng.h"
#include "engine/frame_assembler.h"
#include "io/safetensors.h"
#include "io/tokenizer.h"
#include "io/video.h"
#include "sampler/schedule.h"

namespace wan::engine {
namespace {

/// The transformers in their store; the conditioning weights come and go.
class StoredExperts final : public pipeline::Experts {
 public:
  StoredExperts(const ModelsOnDisk& models, LoadedModels& loaded) : models_(models), loaded_(loaded) {}

  void with_conditioning(pipeline::Expert expert, const UseConditioning& use) override {
    const models::DitConfig& config = models_.dit_config(expert);
    const weights::WeightSet set = models_.load_conditioning(expert, loaded_.dit_policy);
    use(config, weights::bind<models::DitConditioningWeights>(set.tensors(), config));
    order_.push_back(expert);
  }
  const models::Dit& at_work(pipeline::Expert expert) override {
    if (!order_.empty()) loaded_.dits.read_ahead(order_);
    order_.clear();
    return loaded_.dits.at_work(expert);
  }
  void announce(pipeline::Expert next) override { loaded_.dits.announce(next); }

 private:
  const ModelsOnDisk& models_;
  LoadedModels& loaded_;
  std::vector<pipeline::Expert> order_;  // of those whose conditioning was made: as they will be at work
};

}  // namespace

Generation::Generation(Context& ctx, Context& text_ctx, const ModelsOnDisk& models, LoadedModels& loaded,
                       const PreparedRequest& prepared, const Hooks& hooks, SavedRun* saved)
    : ctx_(ctx),
      text_ctx_(text_ctx),
      models_(models),
      loaded_(loaded),
      prepared_(prepared),
      hooks_(hooks),
      reporter_(hooks),
      dump_(prepared.request.dump),
      saved_(saved) {
  if (hooks.cancel)
    ctx_.poll = [this, before = ctx.poll] {
      if (before) before();
      if (hooks_.cancel->load()) stop();
    };
  text_ctx_.poll = ctx_.poll;
  if (dump_.wanted())
    ctx_.trace = [this](std::string_view name, const Tensor& value) { dump_.add(name, value, ctx_.arena->memory()); };
}

void Generation::stop() {
  int64_t kept = 0;
  if (saved_) {
    try {
      saved_->save_last(ctx_.arena->memory());
    } catch (const Error&) {
      // What was saved before is still there.
    }
    kept = saved_->saved_steps();
  }
  const std::string what = kept > 0 ? fmt::format("; {} of {} steps are kept, the same command goes on from there",
                                                  kept, *prepared_.request.steps)
                                    : "";
  fail(ErrorCode::cancelled, "[generate] stopped as asked{}", what);
}

void Generation::keep(const pipeline::RunState& state) {
  if (!saved_) return;
  try {
    saved_->offer(state, prepared_.request.seed, ctx_.arena->memory());
  } catch (const Error& error) {
    give_up_saving(error);
  }
}

bool Generation::wants_video() const noexcept {
  return !prepared_.request.output.empty() || hooks_.on_frame || dump_.wanted();
}

void Generation::run(const std::string& metadata, bool video) {
  const Request& r = prepared_.request;
  const OwnedTensor latent = r.latents.empty() ? sample() : load_latents();
  ctx_.arena->release();
  if (!loaded_.dits_stay) loaded_.dits.leave_device();
  ctx_.tap("latent_out", latent.tensor);
  if (!r.save_latents.empty()) save_latents(latent.tensor, r.save_latents);
  if (video) {
    try {
      decode(latent.tensor, metadata);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::cancelled || !r.latents.empty() || !r.save_latents.empty() || r.output.empty())
        throw;
      // The steps are the expensive part: keep their result, so that only the decoding has to be repeated.
      const std::string name =
          r.output.has_filename() ? r.output.filename().string() : r.output.parent_path().filename().string();
      const std::filesystem::path kept =
          std::filesystem::absolute(r.output).parent_path() / (name + ".latents.safetensors");
      try {
        save_latents(latent.tensor, kept);
      } catch (const Error& second) {
        fail(error.code(), "{}\n  The latents could not be kept either: {}", error.what(), second.what());
      }
      fail(error.code(), "{}\n  The latents are kept in {}: make the video from them with --latents", error.what(),
           kept.string());
    }
  }
  dump_.commit();
  if (saved_) saved_->remove();
}

bool Generation::guided() const noexcept {
  const Request& r = prepared_.request;
  return *r.guidance_low != 1 || (models_.files().two_experts && *r.guidance_high != 1);
}

TextStates Generation::encode_text() {
  reporter_.begin(Stage::text, 1);
  const auto tokenizer = io::Tokenizer::load(models_.files().tokenizer);
  const int text_len = static_cast<int>(models_.dit_config().text_len);
  std::vector<std::vector<int32_t>> ids{tokenizer.encode(prepared_.clean_prompt, text_len)};
  if (guided()) ids.push_back(tokenizer.encode(prepared_.clean_negative, text_len));
  dump_.add_ids("ids.cond", ids[0]);
  if (guided()) dump_.add_ids("ids.uncond", ids[1]);

  const auto encoder = models_.load_umt5(loaded_.text_policy, loaded_.text_copies);
  MemoryResource &memory = ctx_.arena->memory(), &text_memory = text_ctx_.arena->memory();
  const auto scope = text_ctx_.arena->scope();
  const std::vector<Tensor> states = models::umt5_encode(text_ctx_, encoder->model(), ids);
  const auto keep = [&](const Tensor& state) {
    OwnedTensor made(text_memory, DType::f32, state.shape);
    ops::copy(text_ctx_, state, made.tensor);
    if (&text_memory == &memory) return made;
    OwnedTensor there(memory, DType::f32, state.shape);  // --t5_cpu: from the host to the GPU
    memory.upload(there.tensor.data, made.tensor.data, made.tensor.nbytes());
    return there;
  };
  TextStates text;
  text.cond = keep(states[0]);
  ctx_.tap("context.cond", text.cond.tensor);
  if (guided()) {
    text.uncond = keep(states[1]);
    ctx_.tap("context.uncond", text.uncond.tensor);
  }
  reporter_.done(1);
  return text;
}

ImageCondition Generation::encode_image() {
  ImageCondition out;
  if (!prepared_.image) return out;
  const models::VaeConfig& vae = models_.vae_config();
  const weights::WeightSet set = models_.load_vae_encoder(loaded_.policy);
  const auto encoder = weights::bind<models::VaeEncoderWeights>(set.tensors(), vae);
  MemoryResource& memory = ctx_.arena->memory();
  const bool whole_clip = models_.task() == Task::i2v_A14B;
  const pipeline::PixelSize size{prepared_.width, prepared_.height};
  const std::vector<float> picture =
      whole_clip ? pipeline::fit_bicubic(*prepared_.image, size) : pipeline::fit_and_crop(*prepared_.image, size);
  const int64_t frames = whole_clip ? prepared_.frames : 1;
  const int64_t bands = loaded_.vae_bands.encode;
  reporter_.begin(Stage::image, bands * vae.latent_frames(frames));

  if (dump_.wanted()) {
    OwnedTensor clip(memory, DType::f32, {3, frames, size.height, size.width});
    pipeline::fill_clip(ctx_, picture, 0, clip.tensor);
    ctx_.tap("vae_in", clip.tensor);
  }
  const Shape& latent = prepared_.latent;
  OwnedTensor z(memory, DType::f32, {vae.z_dim, vae.latent_frames(frames), latent[2], latent[3]});
  int64_t chunk = 0;
  models::encode_bands(
      ctx_, encoder, vae, frames,
      [&](int64_t first, const Tensor& part) {
        ctx_.check_stop();
        reporter_.done(chunk++);
        pipeline::fill_clip(ctx_, picture, first, part);
      },
      z.tensor, bands);
  reporter_.done(chunk);
  ctx_.tap("vae_enc", z.tensor);
  if (!whole_clip) {
    out.first_frame = std::move(z);
    return out;
  }
  out.condition = pipeline::image_condition(ctx_, z.tensor);
  ctx_.tap("y", out.condition.tensor);
  return out;
}

OwnedTensor Generation::make_noise() {
  const Request& r = prepared_.request;
  std::vector<float> host(static_cast<size_t>(prepared_.latent.numel()));
  if (r.noise.empty()) {
    make_random_stream(r.rng, static_cast<uint64_t>(r.seed))->fill(host);
  } else {
    io::read_as_f32(io::open_safetensors(r.noise).tensors.at("noise"), host);
  }
  OwnedTensor noise = to_device(host);
  ctx_.tap("noise", noise.tensor);
  return noise;
}

OwnedTensor Generation::sample() {
  const Request& r = prepared_.request;
  pipeline::DenoiseJob job;
  job.schedule = sampler::make_schedule(*r.solver, *r.steps, *r.shift);
  const int64_t steps = job.schedule.steps();
  std::vector<OwnedTensor> kept;  // of the run that is continued: its latent, then its history
  if (found_) {
    kept.push_back(to_device(found_->latent));
    for (const auto& values : found_->history) job.history.push_back(kept.emplace_back(to_device(values)).tensor);
    job.first_step = found_->steps_done;
    found_.reset();
    if (job.first_step == steps) return std::move(kept.front());
  }

  const TextStates text = encode_text();
  text_ctx_.arena->release();
  const ImageCondition image = encode_image();
  ctx_.arena->release();
  OwnedTensor latent = kept.empty() ? make_noise() : std::move(kept.front());

  job.boundary = models_.files().two_experts ? models_.defaults().boundary : 0;
  job.guidance_low = *r.guidance_low;
  job.guidance_high = *r.guidance_high;
  job.context_cond = text.cond.tensor;
  job.context_uncond = text.uncond.tensor;
  job.condition = image.condition.tensor;
  job.first_frame = image.first_frame.tensor;

  reporter_.begin(Stage::sample, steps, job.first_step);
  loaded_.dits.begin_run();
  StoredExperts experts(models_, loaded_);
  pipeline::denoise(
      ctx_, job, experts, latent.tensor,
      [&](int64_t step, pipeline::Expert expert) {
        // The last step is saved while its tensors are there: decoding may be interrupted too.
        if (step == steps && saved_) save_last_step();
        ctx_.check_stop();
        reporter_.done(step, pipeline::to_string(expert));
      },
      [&](const pipeline::RunState& state) { keep(state); });
  return latent;
}

OwnedTensor Generation::load_latents() {
  return to_device(io::read_as_f32(io::open_safetensors(prepared_.request.latents).tensors.at("latents")));
}

OwnedTensor Generation::to_device(std::span<const float> values) {
  OwnedTensor made(ctx_.arena->memory(), DType::f32, prepared_.latent);
  ctx_.arena->memory().upload(made.tensor.data, values.data(), made.tensor.nbytes());
  return made;
}

void Generation::save_last_step() {
  try {
    saved_->save_last(ctx_.arena->memory());
  } catch (const Error& error) {
    give_up_saving(error);
    return;
  }
  saved_->forget_last();
}

void Generation::give_up_saving(const Error& error) {
  // Not worth the run itself.
  reporter_.note(fmt::format("the steps could not be saved, so an interruption would lose them: {}", error.what()));
  saved_ = nullptr;
}

void Generation::save_latents(const Tensor& latent, const std::filesystem::path& path) {
  std::vector<float> host(static_cast<size_t>(latent.numel()));
  ctx_.arena->memory().download(host.data(), latent.data, latent.nbytes());
  const io::TensorToWrite tensor{
      "latents", DType::f32, {latent.shape.dims().begin(), latent.shape.dims().end()}, std::as_bytes(std::span(host))};
  io::write_safetensors(path, std::span(&tensor, 1));
}

void Generation::decode(const Tensor& latent, const std::string& metadata) {
  const Request& r = prepared_.request;
  const models::VaeConfig& vae = models_.vae_config();
  const weights::WeightSet set = models_.load_vae_decoder(loaded_.policy);
  const auto decoder = weights::bind<models::VaeDecoderWeights>(set.tensors(), vae);

  std::unique_ptr<io::VideoWriter> writer;
  if (!r.output.empty())
    writer = io::make_video_writer(r.output, {prepared_.width, prepared_.height, prepared_.fps, metadata, {}});
  OwnedTensor whole;  // only for --dump
  if (dump_.wanted())
    whole = OwnedTensor(ctx_.arena->memory(), DType::f32, {3, prepared_.frames, prepared_.height, prepared_.width});

  FrameAssembler assembler(prepared_.frames, prepared_.height, prepared_.width, [&](std::span<const uint8_t> rgb) {
    if (writer) writer->write(rgb);
    if (hooks_.on_frame) hooks_.on_frame(rgb, static_cast<int>(prepared_.width), static_cast<int>(prepared_.height));
  });
  std::vector<float> planes;
  int64_t rows_done = 0;  // of all frames
  reporter_.begin(Stage::decode, prepared_.frames);
  const auto take = [&](int64_t frame, int64_t row, const Tensor& part) {
    ctx_.check_stop();
    if (whole.tensor)
      for (int64_t c = 0; c < 3; ++c)
        for (int64_t t = 0; t < part.dim(1); ++t)
          ops::copy(ctx_, part.slice(0, c, 1).slice(1, t, 1),
                    whole.tensor.slice(0, c, 1).slice(1, frame + t, 1).slice(2, row, part.dim(2)));
    planes.resize(static_cast<size_t>(part.numel()));
    ctx_.arena->memory().download(planes.data(), part.data, part.nbytes());
    assembler.add(frame, row, part.dim(1), planes);
    rows_done += part.dim(1) * part.dim(2);
    reporter_.done(rows_done / prepared_.height);
  };
  if (loaded_.vae_ranks)
    models::decode_shared(ctx_, decoder, vae, latent, *loaded_.vae_ranks, loaded_.vae_bands.decode, take);
  else
    models::decode_bands(ctx_, decoder, vae, latent, loaded_.vae_bands.decode, take);
  if (whole.tensor) ctx_.tap("video", whole.tensor);
  reporter_.begin(Stage::save, 1);
  if (writer) writer->finish();
  reporter_.done(1);
}

}  // namespace wan::engine
