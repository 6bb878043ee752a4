#pragma once
#include <memory>
#include <string>

#include "core/context.h"
#include "io/safetensors_set.h"
#include "models/dit.h"
#include "weights/file_source.h"

namespace wan::test {

/// A transformer of a golden checkpoint (`folder` is relative to tests/golden/tiny), with the files it comes from.
struct GoldenDit {
  explicit GoldenDit(const std::string& folder, DType compute = DType::f32)
      : index(io::open_safetensors_path(WAN_SOURCE_DIR "/tests/golden/tiny/" + folder)) {
    dit.config = models::infer_dit_config(weights::shape_of(index), {.heads = 4}, folder);
    const weights::Policy policy{compute, false, &host_memory()};
    outer = weights::WeightSet(index, weights::specs_of<models::DitOuterWeights>(dit.config, ""), policy);
    blocks = std::make_unique<weights::FileBlocks>(
        index, weights::block_specs<models::DitBlockWeights>(dit.config, dit.config.layers, "blocks."), policy,
        weights::Residency::keep);
    dit.outer = weights::bind<models::DitOuterWeights>(outer.tensors(), dit.config);
    conditioning_set =
        weights::WeightSet(index, weights::specs_of<models::DitConditioningWeights>(dit.config, ""), policy);
    conditioning = weights::bind<models::DitConditioningWeights>(conditioning_set.tensors(), dit.config);
    dit.blocks = blocks.get();
  }
  /// One forward at `timestep`, with nothing kept from one to the next but keys and values of the text if `keep_kv`.
  void forward(Context& ctx, const Tensor& latent, const Tensor& condition, float timestep, int64_t clean_frames,
               const Tensor& context, const Tensor& out, bool keep_kv = true) const {
    const auto scope = ctx.arena->scope();
    const models::DitTimes times = models::embed_times(ctx, dit.config, conditioning, std::span(&timestep, 1));
    models::DitText text = models::embed_text(ctx, dit.config, conditioning, context);
    if (keep_kv) models::keep_text_kv(ctx, dit, text);
    const ops::Rope3d rope = models::make_dit_rope(ctx, dit.config, latent.shape);
    models::dit_forward(ctx, dit, {latent, condition, &times, 0, clean_frames, &rope}, text, out);
  }

  io::TensorIndex index;
  weights::WeightSet outer, conditioning_set;
  models::DitConditioningWeights conditioning;
  std::unique_ptr<weights::FileBlocks> blocks;
  models::Dit dit;
};

}  // namespace wan::test
