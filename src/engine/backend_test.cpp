#include "engine/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "engine/models_on_disk.h"
#include "support/golden_cases.h"

namespace wan::engine {
namespace {

TEST(ModelsOnDisk, KnowsTheBytesOfItsTransformers) {
  const ModelsOnDisk two(test::golden_folder + "Wan2.2-T2V-A14B", {}), one(test::golden_folder + "Wan2.2-TI2V-5B", {});
  // The golden transformers are stored in float32; what only conditioning needs does not stay.
  const auto in_files = [](const io::DitFiles& files) {
    int64_t total = files.tensors.get().total_bytes();
    for (const auto& spec : weights::specs_of<models::DitConditioningWeights>(read_dit_config(files), ""))
      total -= files.tensors.get().at(spec.name).nbytes;
    return total;
  };
  EXPECT_EQ(two.dit_bytes(DType::f32), in_files(two.files().high_noise) + in_files(two.files().low_noise));
  EXPECT_EQ(one.dit_bytes(DType::f32), in_files(one.files().high_noise));
  EXPECT_LT(two.dit_bytes(DType::bf16), two.dit_bytes(DType::f32));
  EXPECT_GT(two.dit_bytes(DType::bf16), two.dit_bytes(DType::f32) / 2);
}

}  // namespace
}  // namespace wan::engine
