#include "engine/weight_bytes.h"

#include <gtest/gtest.h>

#include "core/memory.h"
#include "engine/models_on_disk.h"
#include "support/golden_cases.h"

namespace wan::engine {
namespace {

class WeightBytesOf : public testing::TestWithParam<DType> {};

// Loading takes exactly as much.
TEST_P(WeightBytesOf, ACheckpointAreWhatLoadingTakes) {
  const DType compute = GetParam();
  for (const bool round : {false, true}) {
    const ModelsOnDisk models(test::golden_folder + "Wan2.2-I2V-A14B", {});
    const Dimensions dimensions{models.dit_config(), models.umt5_config(), models.vae_config()};
    const ModelBytes bytes = weight_bytes(dimensions, true, {compute, true, true, round}, &models.files());
    const weights::Policy plain{compute, false, &host_memory()}, dit{compute, round, &host_memory()};
    EXPECT_EQ(bytes.encoder.outer, models.load_vae_encoder(plain).owned_bytes());
    EXPECT_EQ(bytes.decoder.outer, models.load_vae_decoder(plain).owned_bytes());
    EXPECT_EQ(bytes.low.conditioning, models.load_conditioning(pipeline::Expert::low, dit).owned_bytes());
    const io::TensorIndex& index = models.files().high_noise.tensors.get();
    const auto specs = weights::block_specs<models::DitBlockWeights>(dimensions.dit, dimensions.dit.layers, "blocks.");
    for (size_t i = 0; i < specs.size(); ++i)
      EXPECT_EQ(bytes.high.blocks[i], weights::WeightSet(index, specs[i], dit).owned_bytes()) << i;
    EXPECT_EQ(bytes.high.file, index.total_bytes());
  }
}

INSTANTIATE_TEST_SUITE_P(Types, WeightBytesOf, testing::Values(DType::f32, DType::bf16));

// On a GPU nothing is used in place: a block has room for all of it.
TEST(WeightBytes, OnAGpuEveryTensorCounts) {
  const Dimensions d = official_dimensions(Task::t2v_A14B);
  const ModelBytes gpu = weight_bytes(d, true, {DType::bf16, false, false, false}, nullptr);
  EXPECT_EQ(gpu.high.blocks.size(), 40u);
  EXPECT_NEAR(static_cast<double>(gpu.high.in_blocks()), 28.1e9, 0.1e9);
  EXPECT_NEAR(static_cast<double>(gpu.high.file), 57.2e9, 0.3e9);
  EXPECT_NEAR(static_cast<double>(gpu.text.all()), 11.36e9, 0.05e9);
  const ModelBytes cpu = weight_bytes(d, true, {DType::f32, true, true, false}, nullptr);
  EXPECT_EQ(cpu.high.in_blocks(), 0) << "float32 files are used in place";
}

}  // namespace
}  // namespace wan::engine
