// The benchmark on a GPU, at the dimensions of the tiny checkpoints.
#include <gtest/gtest.h>

#include "wan/bench.h"

namespace wan {
namespace {

class BenchOnGpu : public testing::TestWithParam<std::pair<Task, const char*>> {};

TEST_P(BenchOnGpu, EveryPartIsTimedAndFinite) {
  const auto& [task, folder] = GetParam();
  BenchOptions options;
  options.task = task;
  options.ckpt_dir = std::string(WAN_SOURCE_DIR "/tests/golden/tiny/") + folder;
  options.width = options.height = 64;
  options.frames = 5;
  options.device = "cuda";
  options.runs = 2;
  const BenchReport report = run_bench(options);
  EXPECT_NE(report.device, "CPU");
  EXPECT_EQ(report.precision, Precision::bf16);
  EXPECT_EQ(report.parts.size(), task == Task::t2v_A14B ? 3u : 4u);
  for (const BenchPart& part : report.parts) {
    EXPECT_GT(part.median_seconds, 0) << part.name;
    EXPECT_TRUE(part.finite) << part.name;
    EXPECT_GT(part.weight_bytes, 0) << part.name;
    EXPECT_GT(part.peak_bytes, part.weight_bytes) << part.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Tasks, BenchOnGpu,
                         testing::Values(std::pair(Task::t2v_A14B, "Wan2.2-T2V-A14B"),
                                         std::pair(Task::i2v_A14B, "Wan2.2-I2V-A14B"),
                                         std::pair(Task::ti2v_5B, "Wan2.2-TI2V-5B")));

TEST(BenchLoadOnGpu, CopyIsTimedToo) {
  BenchOptions options;
  options.ckpt_dir = WAN_SOURCE_DIR "/tests/golden/tiny/Wan2.2-T2V-A14B";
  options.device = "cuda";
  const LoadReport r = run_load_bench(options);
  EXPECT_GT(r.device_bytes, 0);
  ASSERT_TRUE(r.copy_seconds.has_value());
  EXPECT_GT(*r.copy_seconds, 0);
  EXPECT_GE(r.load_seconds, *r.copy_seconds);
}

}  // namespace
}  // namespace wan
