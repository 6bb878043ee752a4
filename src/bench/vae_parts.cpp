#include <fmt/format.h>

#include <algorithm>

#include "bench/parts.h"
#include "models/row_bands.h"
#include "models/vae_stream.h"
#include "ops/elementwise.h"
#include "pipeline/image_condition.h"

namespace wan::bench {
namespace {

template <class Weights>
struct Synthetic {
  Synthetic(Machine& machine, const models::VaeConfig& config)
      : set(weights::specs_of<Weights>(config, ""), machine.ctx().compute, machine.memory(), machine.fill()),
        weights(weights::bind<Weights>(set.tensors(), config)) {}
  SyntheticSet set;
  Weights weights;
};

BenchPart measure_vae(Machine& machine, const char* name, std::string what, int runs, int64_t weight_bytes,
                      const std::function<bool(bool check)>& work) {
  machine.note(fmt::format("{}: {}", name, what));
  machine.memory().reset_peak();
  bool finite = true;
  BenchPart part = measure(machine, runs, [&](bool check) { finite = work(check) && finite; });
  part.name = name;
  part.what = std::move(what);
  part.weight_bytes = weight_bytes;
  part.peak_bytes = machine.memory().peak();
  part.finite = finite;
  return part;
}

Shape latent_shape(const Plan& plan, int64_t frames) {
  const models::VaeConfig& vae = plan.dimensions.vae;
  return {vae.z_dim, vae.latent_frames(frames), plan.height / vae.stride_s(), plan.width / vae.stride_s()};
}

std::string in_bands(int64_t bands) { return bands > 1 ? fmt::format(", in {} bands", bands) : std::string(); }

BenchPart bench_encode(Machine& machine, const Plan& plan) {
  const models::VaeConfig& vae = plan.dimensions.vae;
  const Synthetic<models::VaeEncoderWeights> model(machine, vae);
  const int64_t weight_bytes = machine.memory().in_use();
  const int64_t frames = plan.task == Task::i2v_A14B ? plan.frames : 1;
  std::vector<float> picture(static_cast<size_t>(3 * plan.width * plan.height));
  for (size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<float>(i % 511) / 255.f - 1.f;
  const OwnedTensor z(machine.memory(), DType::f32, latent_shape(plan, frames));
  const int64_t bands = std::min(plan.vae_bands, models::most_encoder_bands(vae.down, z.tensor.dim(2)));
  const std::string what =
      fmt::format("one image{}, {}x{}{}", frames > 1 ? fmt::format(" and {} zero frames", frames - 1) : std::string(),
                  plan.width, plan.height, in_bands(bands));
  return measure_vae(machine, "vae_encode", what, plan.runs, weight_bytes, [&](bool check) {
    Context& ctx = machine.ctx();
    models::encode_bands(
        ctx, model.weights, vae, frames,
        [&](int64_t first, const Tensor& part) { pipeline::fill_clip(ctx, picture, first, part); }, z.tensor, bands);
    return !check || ops::all_finite(ctx, z.tensor);
  });
}

BenchPart bench_decode(Machine& machine, const Plan& plan) {
  const models::VaeConfig& vae = plan.dimensions.vae;
  const Synthetic<models::VaeDecoderWeights> model(machine, vae);
  const int64_t weight_bytes = machine.memory().in_use();
  const OwnedTensor z = random_tensor(machine, latent_shape(plan, plan.frames));
  const std::string what =
      fmt::format("{} frames, {}x{}{}", plan.frames, plan.width, plan.height, in_bands(plan.vae_bands));
  return measure_vae(machine, "vae_decode", what, plan.runs, weight_bytes, [&](bool check) {
    Context& ctx = machine.ctx();
    bool finite = true;
    models::decode_bands(ctx, model.weights, vae, z.tensor, plan.vae_bands,
                         [&](int64_t, int64_t, const Tensor& frames) {
                           if (check) finite = ops::all_finite(ctx, frames) && finite;
                         });
    return finite;
  });
}

}  // namespace

std::vector<BenchPart> bench_vae(Machine& machine, const Plan& plan) {
  std::vector<BenchPart> parts;
  if (plan.task != Task::t2v_A14B) {
    parts.push_back(bench_encode(machine, plan));
    machine.ctx().arena->release();
  }
  parts.push_back(bench_decode(machine, plan));
  return parts;
}

}  // namespace wan::bench
