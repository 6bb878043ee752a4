// The golden cases from the seed alone, through the public API: every intermediate against upstream's.
#include "support/golden_runs.h"

namespace wan {
namespace {

using test::golden_cases;
using test::GoldenCase;

EngineOptions options_of(const GoldenCase& c) { return test::golden_options(c, "cpu", Precision::f32); }

class Golden : public testing::TestWithParam<GoldenCase> {};

TEST_P(Golden, WholeRunFromTheSeedEqualsUpstream) { test::expect_golden_run(GetParam(), "cpu"); }

TEST_P(Golden, Bf16IsNearTheFloat32Result) { test::expect_near_in_bf16(GetParam(), "cpu"); }

TEST_P(Golden, ConvertModelDtypeRoundsTheWeights) {
  EngineOptions options = options_of(GetParam());
  options.convert_model_dtype = true;
  const double error = test::golden_latent_error(GetParam(), options);
  EXPECT_LE(error, 3e-2);
  EXPECT_GT(error, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::ValuesIn(golden_cases), test::golden_name);

// Trap: boundary and shift are per task, and the guidance pair is (low, high).
TEST(Defaults, AreUpstreamsPerTask) {
  Request r;
  const Request t2v = Engine::open(options_of(golden_cases[0])).prepare(r);
  EXPECT_EQ(*t2v.shift, 12);
  EXPECT_EQ(*t2v.steps, 40);
  EXPECT_EQ(*t2v.guidance_low, 3);
  EXPECT_EQ(*t2v.guidance_high, 4);
  EXPECT_EQ(*t2v.frames, 81);
  EXPECT_EQ(*t2v.fps, 16);
  EXPECT_EQ(*t2v.width, 1280);
  EXPECT_EQ(*t2v.height, 720);
  const Request ti2v = Engine::open(options_of(golden_cases[3])).prepare(r);
  EXPECT_EQ(*ti2v.shift, 5);
  EXPECT_EQ(*ti2v.steps, 50);
  EXPECT_EQ(*ti2v.frames, 121);
  EXPECT_EQ(*ti2v.height, 704);
  r.image = test::golden_folder + "input.png";
  const Request i2v = Engine::open(options_of(golden_cases[2])).prepare(r);
  EXPECT_EQ(*i2v.shift, 5);
  EXPECT_EQ(*i2v.guidance_low, 3.5);
  EXPECT_EQ(*i2v.guidance_high, 3.5);
}

}  // namespace
}  // namespace wan
