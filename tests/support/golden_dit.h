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
    dit.blocks = blocks.get();
  }
  io::TensorIndex index;
  weights::WeightSet outer;
  std::unique_ptr<weights::FileBlocks> blocks;
  models::Dit dit;
};

}  // namespace wan::test
