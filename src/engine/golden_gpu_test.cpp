// The golden cases on a GPU.
#include "support/golden_runs.h"
#include "support/gpu_context.h"

namespace wan {
namespace {

class GpuGolden : public testing::TestWithParam<test::GoldenCase> {
 protected:
  void SetUp() override {
    if (const std::string reason = test::no_gpu(); !reason.empty()) GTEST_SKIP() << reason;
  }
};

TEST_P(GpuGolden, WholeRunFromTheSeedEqualsUpstream) { test::expect_golden_run(GetParam(), "cuda"); }

TEST_P(GpuGolden, Bf16IsNearTheFloat32Result) {
  const double error = test::golden_latent_error(GetParam(), test::golden_options(GetParam(), "cuda", Precision::bf16));
  RecordProperty("latent_error", std::to_string(error));
  EXPECT_LE(error, 3e-2);
  EXPECT_GT(error, 1e-5) << "bf16 cannot be this exact; did it run in f32?";
}

TEST_P(GpuGolden, TheTextEncoderMayStayOnTheCpu) {
  EngineOptions options = test::golden_options(GetParam(), "cuda", Precision::f32);
  options.t5_cpu = true;
  EXPECT_LE(test::golden_latent_error(GetParam(), options), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Cases, GpuGolden, testing::ValuesIn(test::golden_cases), test::golden_name);

}  // namespace
}  // namespace wan
