#include <gtest/gtest.h>

#include "core/error.h"
#include "wan/bench.h"

namespace wan {
namespace {

BenchOptions options_for(const char* folder) {
  BenchOptions options;
  options.ckpt_dir = std::string(WAN_SOURCE_DIR "/tests/golden/tiny/") + folder;
  options.device = "cpu";
  options.precision = Precision::bf16;
  options.threads = 2;
  options.runs = 2;
  return options;
}

int64_t size_of_transformer(const std::filesystem::path& folder) {
  int64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder))
    if (file.path().extension() == ".safetensors") bytes += static_cast<int64_t>(file.file_size());
  return bytes;
}

TEST(BenchLoad, BothExpertsOfACheckpointAreTimed) {
  const BenchOptions options = options_for("Wan2.2-I2V-A14B");
  const LoadReport r = run_load_bench(options);
  EXPECT_EQ(r.task, Task::i2v_A14B);
  EXPECT_EQ(r.transformers, 2);
  EXPECT_EQ(r.file_bytes, size_of_transformer(options.ckpt_dir / "high_noise_model") +
                              size_of_transformer(options.ckpt_dir / "low_noise_model"));
  EXPECT_GT(r.device_bytes, r.file_bytes / 4);
  EXPECT_LT(r.device_bytes, r.file_bytes);
  for (const double seconds : {r.load_seconds, r.first_load_seconds, r.read_seconds, r.first_read_seconds,
                               r.open_checkpoint_seconds, r.open_tokenizer_seconds})
    EXPECT_GT(seconds, 0);
  EXPECT_FALSE(r.copy_seconds.has_value());
  EXPECT_EQ(r.ratio(), r.load_seconds / r.read_seconds);
}

TEST(BenchLoad, AFileInPlaceTakesNoMemory) {
  BenchOptions options = options_for("Wan2.2-TI2V-5B");
  options.precision = Precision::f32;
  const LoadReport r = run_load_bench(options);
  EXPECT_EQ(r.transformers, 1);
  EXPECT_EQ(r.device_bytes, 0);
}

TEST(BenchLoad, NeedsACheckpoint) { EXPECT_THROW((void)run_load_bench({}), Error); }

TEST(BenchLoad, TheSlowerOfReadAndCopyCounts) {
  LoadReport r;
  r.load_seconds = 3;
  r.read_seconds = 1;
  r.copy_seconds = 2;
  EXPECT_EQ(r.ratio(), 1.5);
}

}  // namespace
}  // namespace wan
