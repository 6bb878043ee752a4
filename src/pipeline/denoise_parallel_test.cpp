// Whole runs by every mesh of up to eight ranks, against one rank alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "core/error.h"
#include "parallel/mesh.h"
#include "pipeline/denoise.h"
#include "support/cpu_context.h"
#include "support/expected.h"
#include "support/golden_experts.h"
#include "support/thread_ranks.h"

namespace wan::pipeline {
namespace {

using test::GoldenExperts;
using testing::Each;
using testing::HasSubstr;

const std::string golden = WAN_SOURCE_DIR "/tests/golden/tiny/";

const test::Expected& expected() {
  static const test::Expected values(golden + "expected.safetensors");
  return values;
}

/// One rank's run.
struct OneRun {
  OneRun() {
    latent = cpu.from(expected().f32("t2v_unipc.noise"), {16, 3, 8, 12});
    job.schedule = sampler::make_schedule(SolverKind::unipc, 6, 12);
    job.boundary = 0.875;
    job.context_cond = cpu.from(expected().f32("t2v_unipc.context.cond"), {48, 64});
    job.context_uncond = cpu.from(expected().f32("t2v_unipc.context.uncond"), {121, 64});
    job.guidance_low = 3;
    job.guidance_high = 4;
  }
  std::vector<float> run() {
    denoise(cpu.ctx, job, experts, latent, [&](int64_t step, Expert) {
      if (on_step) on_step(step);
    });
    return test::values(latent);
  }
  test::CpuContext cpu{DType::f32, 1};
  GoldenExperts experts;
  DenoiseJob job;
  Tensor latent;
  std::function<void(int64_t)> on_step;
};

struct Ranks {
  std::vector<std::string> errors;
  std::vector<std::vector<float>> latents;
};
template <class Change>
Ranks run_all(const parallel::MeshSizes& sizes, const Change& change) {
  Ranks all;
  all.latents.resize(static_cast<size_t>(sizes.ranks()));
  all.errors = test::on_ranks(sizes.ranks(), [&](comm::Communicator& world) {
    const parallel::Mesh mesh(world, sizes);
    OneRun run;
    run.cpu.ctx.mesh = &mesh;
    change(run, world.rank());
    all.latents[static_cast<size_t>(world.rank())] = run.run();
  });
  return all;
}

TEST(DenoiseParallel, EveryMeshGivesWhatOneRankGives) {
  const std::vector<float> alone = OneRun().run();
  for (int size = 2; size <= 8; ++size)
    for (const int guidance : {1, 2}) {
      if (size % guidance != 0) continue;
      const Ranks all = run_all({guidance, size / guidance}, [](OneRun&, int) {});
      EXPECT_THAT(all.errors, Each(""));
      for (const auto& latent : all.latents) {
        ASSERT_EQ(latent, all.latents[0]) << "ranks differ";
        EXPECT_LE(test::relative_l2(latent, alone), 1e-5) << guidance << " x " << size / guidance;
      }
    }
}

TEST(DenoiseParallel, OneBranchOnEachHalfIsExactlyTheSame) {
  const std::vector<float> alone = OneRun().run();
  for (const auto& latent : run_all({2, 1}, [](OneRun&, int) {}).latents) EXPECT_EQ(latent, alone);
}

TEST(DenoiseParallel, WithoutGuidanceBothHalvesComputeTheSame) {
  for (const auto& guidance : {std::pair(1., 4.), {3., 1.}, {1., 1.}}) {
    const auto change = [&](OneRun& run, int) {
      run.job.guidance_low = guidance.first;
      run.job.guidance_high = guidance.second;
      if (guidance == std::pair(1., 1.)) run.job.context_uncond = {};
    };
    OneRun one;
    change(one, 0);
    const std::vector<float> alone = one.run();
    const Ranks all = run_all({2, 1}, change);
    EXPECT_THAT(all.errors, Each(""));
    for (const auto& latent : all.latents) EXPECT_EQ(latent, alone);
  }
}

TEST(DenoiseParallel, TheNextExpertIsAnnouncedOnceOnEveryHalf) {
  run_all({2, 1}, [](OneRun& run, int) {
    run.on_step = [&](int64_t step) {
      if (step < 6) return;
      EXPECT_THAT(run.experts.events,
                  testing::ElementsAre("at work: high", "at work: high", "at work: high", "at work: high", "next: low",
                                       "at work: low", "at work: low"));
    };
  });
}

TEST(DenoiseParallel, RanksThatAreLateChangeNothing) {
  const std::vector<float> alone = OneRun().run();
  const Ranks all = run_all({2, 2}, [](OneRun& run, int rank) {
    const auto random = std::make_shared<std::mt19937>(rank);
    run.cpu.ctx.poll = [random] { std::this_thread::sleep_for(std::chrono::milliseconds((*random)() % 10)); };
  });
  EXPECT_THAT(all.errors, Each(""));
  for (const auto& latent : all.latents) EXPECT_LE(test::relative_l2(latent, alone), 1e-5);
}

// Whoever waits for a rank that failed names it, or one that waited for it.
TEST(DenoiseParallel, ARankThatFailsEndsAll) {
  for (const parallel::MeshSizes& sizes : {parallel::MeshSizes{2, 1}, {1, 3}, {2, 2}}) {
    const Ranks all = run_all(sizes, [](OneRun& run, int rank) {
      if (rank != 1) return;
      run.on_step = [](int64_t step) { require(step < 3, ErrorCode::device, "[test] rank 1 broke"); };
    });
    for (size_t r = 0; r < all.errors.size(); ++r) {
      EXPECT_THAT(all.errors[r], HasSubstr(r == 1 ? "rank 1 broke" : "group of ranks"));
      EXPECT_TRUE(all.latents[r].empty());
    }
    EXPECT_THAT(all.errors[0], HasSubstr("rank 1, which has ended"));
  }
}

}  // namespace
}  // namespace wan::pipeline
