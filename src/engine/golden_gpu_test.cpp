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

TEST_P(GpuGolden, Bf16IsNearTheFloat32Result) { test::expect_near_in_bf16(GetParam(), "cuda"); }

TEST_P(GpuGolden, TheTextEncoderMayStayOnTheCpu) {
  EngineOptions options = test::golden_options(GetParam(), "cuda", Precision::f32);
  options.t5_cpu = true;
  EXPECT_LE(test::golden_latent_error(GetParam(), options), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Cases, GpuGolden, testing::ValuesIn(test::golden_cases), test::golden_name);

}  // namespace
}  // namespace wan
