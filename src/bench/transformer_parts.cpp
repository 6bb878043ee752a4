#include <fmt/format.h>

#include "bench/parts.h"
#include "ops/elementwise.h"
#include "weights/file_source.h"

namespace wan::bench {
namespace {

/// A transformer's weights, of which the first `run` blocks exist.
template <class OuterWeights, class BlockWeights, class Config>
struct Synthetic {
  Synthetic(Machine& machine, const Config& config, int64_t run)
      : outer(weights::specs_of<OuterWeights>(config, ""), machine.ctx().compute, machine.memory(), machine.fill()),
        outer_bytes(machine.memory().in_use()),
        blocks(weights::block_specs<BlockWeights>(config, run, "blocks."), machine.ctx().compute, machine.memory(),
               machine.fill()),
        weights(weights::bind<OuterWeights>(outer.tensors(), config)) {}

  SyntheticSet outer;
  int64_t outer_bytes;
  SyntheticBlocks blocks;
  OuterWeights weights;
};

/// `run(layers)` measures with that many layers. Extrapolates where the model has more.
BenchPart measure_layers(Machine& machine, int64_t layers_run, int64_t layers, int64_t extra_bytes_per_layer,
                         int64_t outer_bytes, const std::function<BenchPart(int64_t layers)>& run) {
  CountingMemory& memory = machine.memory();
  const int64_t weight_bytes = memory.in_use();
  memory.reset_peak();
  BenchPart part = run(layers_run);
  part.weight_bytes = weight_bytes;
  part.peak_bytes = memory.peak();
  part.layers_run = layers_run;
  part.layers = layers;
  if (layers_run == layers) return part;
  const int64_t more = layers - layers_run, block_bytes = (weight_bytes - outer_bytes) / layers_run;
  part.weight_bytes += more * block_bytes;
  part.peak_bytes += more * (block_bytes + extra_bytes_per_layer);
  return extrapolate(std::move(part), run(0), layers);
}

/// As a generation does it before its forwards; the weights for it are gone afterwards.
std::pair<models::DitTimes, models::DitText> condition_on(Machine& machine, const models::Dit& dit,
                                                          const Tensor& context, int64_t tokens) {
  Context& ctx = machine.ctx();
  const SyntheticSet set(weights::specs_of<models::DitConditioningWeights>(dit.config, ""), ctx.compute,
                         machine.memory(), machine.fill());
  const auto weights = weights::bind<models::DitConditioningWeights>(set.tensors(), dit.config);
  constexpr float timestep = 500;
  models::DitTimes times = models::embed_times(ctx, dit.config, weights, std::span(&timestep, 1));
  models::DitText text = models::embed_text(ctx, dit.config, weights, context);
  if (models::keeps_text_kv(dit.config, tokens)) models::keep_text_kv(ctx, dit, text);
  return {std::move(times), std::move(text)};
}

int64_t layers_to_run(const Plan& plan, int64_t layers) {
  return plan.layers ? std::min(*plan.layers, layers) : layers;
}

}  // namespace

BenchPart bench_dit(Machine& machine, const Plan& plan) {
  models::DitConfig config = plan.dimensions.dit;
  const models::VaeConfig& vae = plan.dimensions.vae;
  const int64_t layers = config.layers, layers_run = layers_to_run(plan, layers);
  const Shape latent_shape{config.out_channels, vae.latent_frames(plan.frames), plan.height / vae.stride_s(),
                           plan.width / vae.stride_s()};
  const int64_t tokens = latent_shape.numel() / config.out_channels / config.patch_volume();
  machine.note(fmt::format("dit: {} of {} layers, {} tokens", layers_run, layers, tokens));

  Synthetic<models::DitOuterWeights, models::DitBlockWeights, models::DitConfig> model(machine, config, layers_run);
  const auto run = [&](int64_t count) {
    config.layers = count;
    const models::Dit dit{config, model.weights, &model.blocks};
    const OwnedTensor latent = random_tensor(machine, latent_shape);
    const OwnedTensor out(machine.memory(), DType::f32, latent_shape);
    OwnedTensor condition;
    if (const int64_t channels = config.in_channels - config.out_channels; channels > 0)
      condition = random_tensor(machine, {channels, latent_shape[1], latent_shape[2], latent_shape[3]});
    const OwnedTensor context = random_tensor(machine, {config.text_len, config.text_dim});
    const auto scope = machine.ctx().arena->scope();
    const std::pair<models::DitTimes, models::DitText> made = condition_on(machine, dit, context.tensor, tokens);
    const ops::Rope3d rope = models::make_dit_rope(machine.ctx(), config, latent_shape);
    const models::DitInput input{latent.tensor, condition.tensor, &made.first, 0, 0, &rope};
    bool finite = true;
    BenchPart part = measure(machine, plan.runs, [&](bool check) {
      models::dit_forward(machine.ctx(), dit, input, made.second, out.tensor);
      if (check) finite = ops::all_finite(machine.ctx(), out.tensor);
    });
    part.finite = finite;
    return part;
  };
  const int64_t text_bytes =
      models::keeps_text_kv(config, tokens) ? 2 * config.text_len * config.dim * size_of(machine.ctx().compute) : 0;
  BenchPart part = measure_layers(machine, layers_run, layers, text_bytes, model.outer_bytes, run);
  part.name = "dit";
  part.what = fmt::format("one forward, {} tokens", tokens);
  return part;
}

BenchPart bench_t5(Machine& machine, const Plan& plan) {
  models::Umt5Config config = plan.dimensions.t5;
  const int64_t layers = config.layers, layers_run = layers_to_run(plan, layers);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < plan.dimensions.dit.text_len; ++i)
    ids.push_back(static_cast<int32_t>(i * 7919 % config.vocabulary));
  machine.note(fmt::format("t5: {} of {} layers, {} tokens", layers_run, layers, ids.size()));

  Synthetic<models::Umt5OuterWeights, models::Umt5BlockWeights, models::Umt5Config> model(machine, config, layers_run);
  const auto run = [&](int64_t count) {
    config.layers = count;
    const models::Umt5 umt5{config, model.weights, &model.blocks};
    bool finite = true;
    BenchPart part = measure(machine, plan.runs, [&](bool check) {
      const auto scope = machine.ctx().arena->scope();
      const Tensor states = models::umt5_encode(machine.ctx(), umt5, {ids}).front();
      if (check) finite = ops::all_finite(machine.ctx(), states);
    });
    part.finite = finite;
    return part;
  };
  BenchPart part = measure_layers(machine, layers_run, layers, 0, model.outer_bytes, run);
  part.name = "t5";
  part.what = fmt::format("one prompt, {} tokens", ids.size());
  return part;
}

}  // namespace wan::bench
