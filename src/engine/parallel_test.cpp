// Golden cases by several ranks through the public API, against one rank alone and against upstream.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "core/error.h"
#include "engine/memory_plan.h"
#include "engine/ranks.h"
#include "support/golden_runs.h"
#include "support/thread_ranks.h"

namespace wan::engine {
namespace {

using test::golden_cases;
using test::GoldenCase;
using testing::Each;
using testing::HasSubstr;

struct Way {
  parallel::MeshSizes mesh;
  bool sharded = false;
};

std::string to_string(const Way& w) {
  return fmt::format("{} x {}{}", w.mesh.guidance, w.mesh.sequence, w.sharded ? ", sharded" : "");
}

EngineOptions options_of(const GoldenCase& c, Precision precision) {
  EngineOptions options = test::golden_options(c, "cpu", precision);
  options.threads = 1;
  return options;
}

/// Opens an engine on each rank and calls work(engine, rank).
template <class Work>
std::vector<std::string> on_engines(const EngineOptions& options, const Way& way, const Work& work) {
  return test::on_ranks(way.mesh.ranks(), [&](comm::Communicator& world) {
    EngineOptions own = options;
    own.ranks = std::make_shared<const Ranks>(Ranks{{std::shared_ptr<void>(), &world}, way.mesh, way.sharded});
    Engine engine = Engine::open(own);
    work(engine, world.rank());
  });
}

std::vector<float> latents_alone(const GoldenCase& c, Precision precision) {
  const test::TempDir dir;
  Request request = test::golden_request(c);
  request.save_latents = dir.path() / "latents.safetensors";
  Engine::open(options_of(c, precision)).generate(request);
  return test::Expected(request.save_latents).f32("latents");
}

/// Relative error of rank 0's latents.
double error_of(const GoldenCase& c, Precision precision, const Way& way, const std::vector<float>& alone) {
  const test::TempDir dir;
  Request request = test::golden_request(c);
  request.save_latents = dir.path() / "latents.safetensors";
  EXPECT_THAT(on_engines(options_of(c, precision), way, [&](Engine& e, int) { e.generate(request); }), Each(""))
      << to_string(way);
  return test::relative_l2(test::Expected(request.save_latents).f32("latents"), alone);
}

/// Every mesh of up to eight ranks; sharded ones too for few ranks, and only sharded ones for many.
std::vector<Way> ways() {
  std::vector<Way> all;
  for (int size = 2; size <= 8; ++size)
    for (const int guidance : {1, 2})
      for (const bool sharded : {false, true})
        if (size % guidance == 0 && (sharded || size <= 3)) all.push_back({{guidance, size / guidance}, sharded});
  return all;
}

class ParallelGolden : public testing::TestWithParam<GoldenCase> {};

TEST_P(ParallelGolden, EveryMeshGivesWhatOneRankGives) {
  const std::vector<float> alone = latents_alone(GetParam(), Precision::f32);
  double worst = 0;
  for (const Way& way : ways()) {
    const double error = error_of(GetParam(), Precision::f32, way, alone);
    EXPECT_LE(error, 1e-5) << to_string(way);
    worst = std::max(worst, error);
  }
  RecordProperty("worst_error", fmt::format("{:.2g}", worst));
}

TEST_P(ParallelGolden, Bf16IsNearOneRanks) {
  const std::vector<float> alone = latents_alone(GetParam(), Precision::bf16);
  double worst = 0;
  for (const Way& way : {Way{{2, 1}, false}, {{1, 3}, true}, {{2, 2}, true}}) {
    const double error = error_of(GetParam(), Precision::bf16, way, alone);
    EXPECT_LE(error, 3e-2) << to_string(way);
    worst = std::max(worst, error);
  }
  RecordProperty("worst_error", fmt::format("{:.2g}", worst));
}

INSTANTIATE_TEST_SUITE_P(Cases, ParallelGolden, testing::ValuesIn(golden_cases), test::golden_name);

// The frames of a video that is high enough for all ranks to decode some of its rows.
TEST(Parallel, AllRanksDecode) {
  for (const GoldenCase& c : {golden_cases[0], golden_cases[3]}) {
    const auto frames_of = [&](const Way& way) {
      std::vector<std::vector<uint8_t>> frames;
      const auto errors = on_engines(options_of(c, Precision::f32), way, [&](Engine& engine, int rank) {
        Request request = test::golden_request(c);
        request.width = 32;
        request.height = 32 * 24;
        request.frames = 9;
        request.steps = 1;
        Hooks hooks;
        if (rank == 0)
          hooks.on_frame = [&](std::span<const uint8_t> rgb, int, int) { frames.emplace_back(rgb.begin(), rgb.end()); };
        engine.generate(request, hooks);
      });
      EXPECT_THAT(errors, Each(""));
      return frames;
    };
    const auto alone = frames_of({{1, 1}});
    ASSERT_EQ(alone.size(), 9);
    for (const Way& way : {Way{{2, 1}}, Way{{1, 3}}}) {
      const auto shared = frames_of(way);
      ASSERT_EQ(shared.size(), alone.size());
      int most = 0;
      for (size_t f = 0; f < alone.size(); ++f) {
        ASSERT_EQ(shared[f].size(), alone[f].size());
        for (size_t i = 0; i < alone[f].size(); ++i)
          most = std::max(most, std::abs(int{shared[f][i]} - int{alone[f][i]}));
      }
      EXPECT_LE(most, 1) << c.name << ", " << to_string(way);
    }
  }
}

// Every intermediate of rank 0 that is one's own, against upstream's.
TEST(Parallel, RankZeroHasTheVideoAndTheOthersNothing) {
  const GoldenCase& c = golden_cases[0];
  const test::TempDir dir;
  std::atomic<int> notes = 0, frames = 0;
  const auto errors = on_engines(options_of(c, Precision::f32), {{2, 2}, true}, [&](Engine& engine, int rank) {
    Request request = test::golden_request(c);
    request.dump = dir.path() / fmt::format("{}.safetensors", rank);
    request.output = dir.path() / fmt::format("{}", rank);
    Hooks hooks;
    hooks.on_progress = [&](const Progress&) { notes += rank == 0 ? 0 : 1; };
    hooks.on_frame = [&](std::span<const uint8_t>, int, int) { frames += rank == 0 ? 1 : 100; };
    const Result result = engine.generate(request, hooks);
    EXPECT_EQ(result.seed, request.seed);
    EXPECT_EQ(result.output.empty(), rank > 0);
  });
  EXPECT_THAT(errors, Each(""));
  EXPECT_EQ(notes, 0);
  EXPECT_EQ(frames, test::golden_arguments(c)["frames"].get<int>());
  EXPECT_TRUE(std::filesystem::exists(dir.path() / "0"));
  for (int rank = 1; rank < 4; ++rank) {
    EXPECT_FALSE(std::filesystem::exists(dir.path() / fmt::format("{}", rank)));
    EXPECT_FALSE(std::filesystem::exists(dir.path() / fmt::format("{}.safetensors", rank)));
  }
  const test::Expected dump(dir.path() / "0.safetensors"), &golden = test::golden_values();
  for (const char* name : {"step05.cond", "step05.uncond", "latent_out"})
    EXPECT_LE(test::relative_l2(dump.f32(name), golden.f32(std::string(c.name) + "." + name)), 1e-3) << name;
  EXPECT_GE(test::video_psnr(dump.f32("video"), golden.f32(std::string(c.name) + ".video")), 60);
}

TEST(Parallel, ADrawnSeedIsTheFirstRanks) {
  const GoldenCase& c = golden_cases[3];
  std::array<int64_t, 3> seeds{};
  EXPECT_THAT(on_engines(options_of(c, Precision::f32), {{1, 3}, false},
                         [&](Engine& engine, int rank) {
                           Request request = test::golden_request(c);
                           request.seed = -1;
                           request.steps = 1;
                           seeds[static_cast<size_t>(rank)] = engine.generate(request).seed;
                         }),
              Each(""));
  EXPECT_EQ(seeds[1], seeds[0]);
  EXPECT_EQ(seeds[2], seeds[0]);
}

// A second generation of the same engines finds every rank in the same state.
TEST(Parallel, EnginesMayGenerateAgain) {
  const GoldenCase& c = golden_cases[0];
  const std::vector<float> alone = latents_alone(c, Precision::f32);
  const test::TempDir dir;
  EXPECT_THAT(on_engines(options_of(c, Precision::f32), {{1, 2}, true},
                         [&](Engine& engine, int) {
                           for (const char* name : {"a", "b"}) {
                             Request request = test::golden_request(c);
                             request.save_latents = dir.path() / name;
                             engine.generate(request);
                           }
                         }),
              Each(""));
  for (const char* name : {"a", "b"})
    EXPECT_LE(test::relative_l2(test::Expected(dir.path() / name).f32("latents"), alone), 1e-5);
}

// Stopped on every rank after some steps; then the same request goes on with the bytes of a run that was not stopped.
TEST(Parallel, AnInterruptedRunGoesOn) {
  const GoldenCase& c = golden_cases[1];
  const Way way{{2, 2}, true};
  const test::TempDir dir;
  const auto run = [&](const char* name, int64_t stop_at) {
    Request request = test::golden_request(c);
    request.output = dir.path() / name / "frames";
    request.save_latents = dir.path() / name / "latents.safetensors";
    request.resume = true;
    std::filesystem::create_directories(dir.path() / name);
    std::atomic<bool> cancel = false;
    std::atomic<int> continued = 0;
    const auto errors = on_engines(options_of(c, Precision::f32), way, [&](Engine& engine, int) {
      Hooks hooks;
      hooks.cancel = &cancel;
      hooks.on_progress = [&](const Progress& p) {
        if (p.stage == Stage::sample && p.done == stop_at) cancel = true;
      };
      hooks.on_note = [&](const std::string& note) { continued += note.find("continues") != std::string::npos; };
      engine.generate(request, hooks);
    });
    if (stop_at > 0) {
      EXPECT_THAT(errors[0], HasSubstr("of 6 steps are kept"));
    } else {
      EXPECT_THAT(errors, Each(""));
    }
    return continued.load();
  };
  EXPECT_EQ(run("whole", -1), 0);
  EXPECT_EQ(run("broken", 3), 0);
  EXPECT_EQ(run("broken", -1), 1);
  EXPECT_EQ(test::Expected(dir.path() / "broken" / "latents.safetensors").f32("latents"),
            test::Expected(dir.path() / "whole" / "latents.safetensors").f32("latents"));
}

TEST(Parallel, ARankThatFailsEndsAll) {
  const GoldenCase& c = golden_cases[0];
  const auto errors = on_engines(options_of(c, Precision::f32), {{2, 2}, true}, [&](Engine& engine, int rank) {
    if (rank == 3) fail(ErrorCode::device, "[test] rank 3 broke");
    engine.generate(test::golden_request(c));
  });
  EXPECT_THAT(errors[3], HasSubstr("rank 3 broke"));
  for (const int rank : {0, 1, 2}) EXPECT_THAT(errors[static_cast<size_t>(rank)], HasSubstr("has ended"));
}

TEST(Parallel, SizesThatAreNotTheWorldsAreRefused) {
  EXPECT_THAT(
      test::on_ranks(
          2,
          [&](comm::Communicator& world) {
            EngineOptions options = options_of(golden_cases[0], Precision::f32);
            options.ranks = std::make_shared<const Ranks>(Ranks{{std::shared_ptr<void>(), &world}, {2, 2}, false});
            (void)Engine::open(options);
          }),
      Each(HasSubstr("4 ranks, but 2 are running")));
}

// What the plan says of a rank is what its dry run takes: fewer tokens, fewer bytes of every block.
TEST(ParallelPlan, RanksTakeLessTheMoreTheyAre) {
  GenerationSpec spec;
  spec.dimensions = official_dimensions(Task::t2v_A14B);
  spec.width = 1280;
  spec.height = 720;
  spec.frames = 81;
  spec.steps = 40;
  spec.shift = 12;
  spec.boundary = 0.875;
  spec.guidance_low = 3;
  spec.guidance_high = 4;
  spec.compute = DType::bf16;
  spec.cuda = true;
  const MemoryPlan one(spec);
  spec.mesh = {1, 2};
  const MemoryPlan two(spec);
  spec.sharded = true;
  const MemoryPlan sharded(spec);
  spec.mesh = {1, 8};
  const MemoryPlan eight(spec);
  EXPECT_LT(two.stages().high, one.stages().high);
  EXPECT_EQ(two.block_bytes(), one.block_bytes());
  EXPECT_EQ(sharded.block_bytes(), (one.block_bytes() + 1) / 2);
  const int64_t blocks = one.place_all().blocks;
  const auto sample = [&](const MemoryPlan& plan) { return plan.place_streamed(blocks).device.sample; };
  RecordProperty("one", std::to_string(sample(one)));
  RecordProperty("two", std::to_string(sample(two)));
  RecordProperty("two_sharded", std::to_string(sample(sharded)));
  RecordProperty("eight_sharded", std::to_string(sample(eight)));
  EXPECT_LT(sample(two), sample(one));
  EXPECT_LT(sample(sharded), sample(two) - 10'000'000'000);
  EXPECT_LT(sample(sharded), 24'000'000'000);
  EXPECT_LT(sample(eight), sample(sharded));
}

}  // namespace
}  // namespace wan::engine
