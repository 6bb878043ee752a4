#include "pipeline/denoise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "ops/kernels.h"
#include "support/cpu_context.h"
#include "support/expected.h"
#include "support/golden_experts.h"

namespace wan::pipeline {
namespace {

using test::GoldenExperts;
using testing::HasSubstr;

const std::string golden = WAN_SOURCE_DIR "/tests/golden/tiny/";

int forwards = 0;  // head projections seen by the spy
int nan_at = -1;   // the forward whose result gets a NaN

/// Counts forwards by their one unpatchify, and damages one of them.
ops::KernelTable spy_kernels() {
  ops::KernelTable table = ops::cpu_kernels();
  table.unpatchify = [](Context& ctx, const ops::UnpatchifyArgs& args) {
    ops::cpu_kernels().unpatchify(ctx, args);
    if (forwards++ == nan_at) args.y.ptr<float>()[0] = NAN;
  };
  return table;
}

struct Fixture {
  Fixture() {
    cpu.ctx.kernels = &kernels;
    forwards = 0;
    nan_at = -1;
    const test::Expected expected(golden + "expected.safetensors");
    latent = cpu.from(expected.f32("t2v_unipc.noise"), {16, 3, 8, 12});
    job.schedule = sampler::make_schedule(SolverKind::unipc, 6, 12);
    job.boundary = 0.875;
    job.context_cond = cpu.from(expected.f32("t2v_unipc.context.cond"), {48, 64});
    job.context_uncond = cpu.from(expected.f32("t2v_unipc.context.uncond"), {121, 64});
    job.guidance_low = 3;
    job.guidance_high = 4;
  }
  void denoise() {
    pipeline::denoise(cpu.ctx, job, experts, latent,
                      [&](int64_t step, Expert expert) { steps.emplace_back(step, expert); });
  }
  ops::KernelTable kernels = spy_kernels();
  test::CpuContext cpu;
  GoldenExperts experts;
  DenoiseJob job;
  Tensor latent;
  std::vector<std::pair<int64_t, Expert>> steps;
};

TEST(Denoise, TwoForwardsAStepWithGuidance) {
  Fixture run;
  run.denoise();
  EXPECT_EQ(forwards, 12);
  ASSERT_EQ(run.steps.size(), 7u);
  EXPECT_EQ(run.steps[3].second, Expert::high);
  EXPECT_EQ(run.steps[4].second, Expert::low);
}

TEST(Denoise, TheNextExpertIsAnnouncedBeforeTheLastForwardOfTheOneAtWork) {
  Fixture run;
  run.denoise();
  const std::string high = "at work: high", low = "at work: low";
  EXPECT_EQ(run.experts.events, (std::vector<std::string>{high, high, high, high, "next: low", low, low}));
}

// Wherever a run stops, another one that starts from what the first had then ends with the same bytes.
TEST(Denoise, GoesOnFromEveryStepWithTheSameBytes) {
  for (const SolverKind solver : {SolverKind::unipc, SolverKind::dpmpp, SolverKind::euler}) {
    struct Kept {
      int64_t steps;
      std::vector<float> latent;
      std::vector<std::vector<float>> history;
    };
    std::vector<Kept> states;
    Fixture whole;
    whole.job.schedule = sampler::make_schedule(solver, 6, 12);
    pipeline::denoise(
        whole.cpu.ctx, whole.job, whole.experts, whole.latent, [](int64_t, Expert) {},
        [&](const RunState& s) {
          states.push_back({s.steps_done, test::values(s.latent), {}});
          for (const Tensor& t : s.history) states.back().history.push_back(test::values(t));
        });
    ASSERT_EQ(states.size(), 6u);
    for (const Kept& state : states) {
      Fixture rest;
      rest.job.schedule = whole.job.schedule;
      rest.job.first_step = state.steps;
      rest.latent = rest.cpu.from(state.latent, rest.latent.shape);
      for (const auto& values : state.history) rest.job.history.push_back(rest.cpu.from(values, rest.latent.shape));
      rest.denoise();
      EXPECT_EQ(forwards, 2 * (6 - state.steps));
      EXPECT_EQ(test::values(rest.latent), test::values(whole.latent)) << to_string(solver) << " " << state.steps;
    }
  }
}

TEST(Denoise, GuidanceOneSkipsTheSecondForward) {
  Fixture run;
  run.job.guidance_low = 1;  // two low-noise steps with one forward, four high-noise steps with two
  run.denoise();
  EXPECT_EQ(forwards, 10);
}

TEST(Denoise, GuidanceOneNeedsNoNegativePrompt) {
  Fixture run;
  run.job.guidance_low = run.job.guidance_high = 1;
  run.job.context_uncond = {};
  run.denoise();
  EXPECT_EQ(forwards, 6);
}

TEST(Denoise, NanNamesStepAndExpert) {
  Fixture run;
  nan_at = 8;  // the prompt's forward of step 5, the first of the low-noise expert
  try {
    run.denoise();
    FAIL() << "a NaN went on to the end";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::device);
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("step 5 of 6"), HasSubstr("low expert")));
  }
  EXPECT_EQ(forwards, 10) << "the loop went on after the damaged step";
}

TEST(Denoise, StopsBetweenBlocksWhenAsked) {
  Fixture run;
  int polls = 0;
  run.cpu.ctx.poll = [&] { require(++polls < 4, ErrorCode::cancelled, "[test] enough"); };
  EXPECT_THROW(run.denoise(), Error);
  EXPECT_LE(forwards, 2);
}

TEST(Expert, BoundaryBelongsToTheHighNoiseExpert) {
  EXPECT_EQ(expert_of(875, 0.875), Expert::high);
  EXPECT_EQ(expert_of(874, 0.875), Expert::low);
  EXPECT_EQ(expert_of(900, 0.900), Expert::high);
  EXPECT_EQ(expert_of(899, 0.900), Expert::low);
  EXPECT_EQ(expert_of(999, 0), Expert::single);
}

}  // namespace
}  // namespace wan::pipeline
