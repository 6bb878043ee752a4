// Times, machines and strategies of the official models; on memory that does not exist.
#include "wan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/gpus.h"
#include "support/golden_cases.h"

namespace wan {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr int64_t gb = 1'000'000'000;

PlanOptions on(const std::string& gpu, int gpus = 1) {
  PlanOptions o;
  o.gpu = gpu;
  o.gpus = gpus;
  o.engine.threads = 16;
  return o;
}

const PlanStrategy& strategy(const PlanReport& r, const std::string& name) {
  const auto at = std::ranges::find(r.strategies, name, &PlanStrategy::name);
  if (at == r.strategies.end()) throw std::runtime_error("no strategy " + name);
  return *at;
}

const PlanStrategy& chosen(const PlanReport& r) { return r.strategies.at(static_cast<size_t>(r.chosen)); }

double seconds(const PlanStrategy& s, Stage stage) {
  const auto at = std::ranges::find(s.stages, stage, &PlanStage::stage);
  return at == s.stages.end() ? 0 : at->seconds;
}

struct Measured {
  Task task;
  int width, height, frames;
  double forward, decode;
};

class OnAnH100 : public testing::TestWithParam<Measured> {};

// docs/measurements.md: one H100, bf16.
TEST_P(OnAnH100, TimesAreTheMeasuredOnes) {
  const Measured& m = GetParam();
  PlanOptions o = on("H100");
  o.engine.task = m.task;
  o.request.width = m.width;
  o.request.height = m.height;
  o.request.frames = m.frames;
  const PlanReport r = make_plan(o);
  EXPECT_FALSE(r.estimate);
  EXPECT_EQ(chosen(r).name, "resident");
  EXPECT_NEAR(chosen(r).step_seconds / (2 * m.forward), 1, 0.05);
  if (m.decode > 0) {
    EXPECT_NEAR(seconds(chosen(r), Stage::decode) / m.decode, 1, 0.05);
  }
}

INSTANTIATE_TEST_SUITE_P(Plan, OnAnH100,
                         testing::Values(Measured{Task::t2v_A14B, 1280, 720, 81, 9.686, 1.70},
                                         Measured{Task::t2v_A14B, 832, 480, 81, 2.535, 0},
                                         Measured{Task::ti2v_5B, 1280, 704, 121, 0.809, 3.59}));

// The promise of minutes that cannot be kept: 40 steps at 720p on two A40s.
TEST(Plan, TwoA40sAreToldTheTruth) {
  PlanOptions o = on("A40", 2);
  o.engine.vram = 46 * gb;
  o.engine.ram = 64 * gb;
  o.link = "pcie4";
  const PlanReport r = make_plan(o);
  EXPECT_TRUE(r.estimate);
  EXPECT_EQ(r.gpus, 2);
  EXPECT_NEAR(chosen(r).total_seconds / 60, 85, 6);
  const PlanStrategy& both = strategy(r, "guidance-parallel");
  EXPECT_FALSE(both.available);
  EXPECT_EQ(both.gpus, 2);
  EXPECT_NEAR(both.total_seconds / 60, 43, 4);
  // What gets it to three minutes, by the same model.
  const auto few =
      std::ranges::find(r.changes, "--sample_steps 4 --sample_guide_scale 1 --size 832*480", &PlanChange::flags);
  ASSERT_NE(few, r.changes.end());
  EXPECT_LT(few->total_seconds, 180);
  EXPECT_THAT(r.notes, Contains(HasSubstr("about three minutes here: --sample_steps 4")));
}

TEST(Plan, StreamingIsFreeWhereBlocksComputeLongerThanTheyTravel) {
  PlanOptions o = on("H100");
  o.engine.vram = 8 * gb;
  PlanReport r = make_plan(o);
  EXPECT_EQ(chosen(r).name, "streamed");
  EXPECT_LE(chosen(r).gpu_peak, 8 * gb);
  EXPECT_NEAR(chosen(r).step_seconds, strategy(r, "resident").step_seconds, 1e-6);
  EXPECT_FALSE(strategy(r, "resident").fits);
  // A small clip over a slow link waits for its weights.
  o.engine.vram = 4 * gb;
  o.link = "pcie3x4";
  o.request.width = 256;
  o.request.height = 256;
  o.request.frames = 5;
  r = make_plan(o);
  EXPECT_EQ(chosen(r).name, "streamed");
  EXPECT_NEAR(r.link_bytes_per_second, 12.5e9 / 4, 1);
  EXPECT_GT(chosen(r).step_seconds, 10 * strategy(r, "resident").step_seconds);
}

TEST(Plan, AHostThatIsTooSmallReadsFromDisk) {
  PlanOptions o = on("H100");
  o.engine.vram = 8 * gb;
  o.engine.ram = 40 * gb;
  const PlanReport r = make_plan(o);
  EXPECT_EQ(chosen(r).name, "streamed");
  EXPECT_LE(chosen(r).host_peak, 40 * gb);
  EXPECT_THAT(chosen(r).note, HasSubstr("read from disk"));
  EXPECT_GE(chosen(r).step_seconds, strategy(r, "resident").step_seconds);
}

TEST(Plan, NothingFitsAndWhatWouldIsSaid) {
  PlanOptions o = on("RTX3090");
  o.engine.vram = 5 * gb;
  const PlanReport r = make_plan(o);
  EXPECT_EQ(r.chosen, -1);
  EXPECT_TRUE(std::ranges::any_of(r.changes, &PlanChange::fits));
  EXPECT_TRUE(r.changes.front().fits) << "those that fit come first";
}

TEST(Plan, SeveralGpusHaveTheirCombinations) {
  const PlanReport r = make_plan(on("H200", 8));
  std::vector<std::string> later;
  for (const PlanStrategy& s : r.strategies)
    if (!s.available) later.push_back(s.name);
  EXPECT_THAT(later, testing::ElementsAre("guidance-parallel", "Ulysses x 8", "Ulysses x 8, sharded",
                                          "guidance-parallel, Ulysses x 4", "guidance-parallel, Ulysses x 4, sharded"));
  const double one = chosen(r).step_seconds, eight = strategy(r, "Ulysses x 8").step_seconds;
  EXPECT_GT(eight, one / 8);
  EXPECT_LT(eight, one / 6);
  EXPECT_LT(strategy(r, "Ulysses x 8, sharded").gpu_peak, strategy(r, "Ulysses x 8").gpu_peak);
  PlanOptions o = on("H200", 4);
  o.request.guidance_low = o.request.guidance_high = 1;
  EXPECT_THROW((void)strategy(make_plan(o), "guidance-parallel"), std::runtime_error);
}

TEST(Plan, ACheckpointIsPlannedWithItsOwnDimensions) {
  PlanOptions o;
  o.engine.ckpt_dir = test::golden_folder + "Wan2.2-TI2V-5B";
  o.engine.device = "cpu";
  o.request.width = 96;
  o.request.height = 64;
  o.request.frames = 9;
  const PlanReport r = make_plan(o);
  EXPECT_EQ(r.task, Task::ti2v_5B);
  EXPECT_EQ(r.gpus, 0);
  EXPECT_LT(chosen(r).host_peak, 50'000'000);
  EXPECT_EQ(chosen(r).gpu_peak, 0);
  o.from_image = true;
  EXPECT_GT(seconds(chosen(make_plan(o)), Stage::image), 0);
}

TEST(Plan, WrongRequestsAndMachinesAreRefused) {
  const auto refused = [](auto change) {
    PlanOptions o = on("A40");
    change(o);
    try {
      (void)make_plan(o);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refused([](PlanOptions& o) { o.gpu = "GTX1080"; }), HasSubstr("expected one of A40, A100-40GB"));
  EXPECT_THAT(refused([](PlanOptions& o) { o.link = "nvlink"; }), HasSubstr("[--link] 'nvlink'"));
  EXPECT_THAT(refused([](PlanOptions& o) { o.link = "pcie4x3"; }), HasSubstr("pcie4x8"));
  EXPECT_THAT(refused([](PlanOptions& o) { o.request.frames = 80; }), HasSubstr("77 and 81"));
  EXPECT_THAT(refused([](PlanOptions& o) { o.request.width = 1280; }), HasSubstr("both width and height"));
  EXPECT_THAT(refused([](PlanOptions& o) { o.request.steps = 0; }), HasSubstr("--sample_steps"));
  EXPECT_THAT(refused([](PlanOptions& o) { o.engine.vram = 0; }), HasSubstr("--vram"));
  EXPECT_THAT(refused([](PlanOptions& o) { o.from_image = true; }), HasSubstr("--image"));
  EXPECT_THAT(refused([](PlanOptions& o) { o.gpu.clear(), o.engine.device = "cpu", o.engine.vram = gb; }),
              HasSubstr("describe a GPU with --gpu"));
}

TEST(Gpus, AreFoundByTheNamesOfDrivers) {
  const auto name = [](const char* driver) {
    const engine::GpuModel* gpu = engine::find_gpu_model(driver);
    return std::string(gpu ? gpu->name : "none");
  };
  EXPECT_EQ(name("NVIDIA H100 80GB HBM3"), "H100");
  EXPECT_EQ(name("NVIDIA A40"), "A40");
  EXPECT_EQ(name("NVIDIA A100-SXM4-40GB"), "A100-40GB");
  EXPECT_EQ(name("NVIDIA A100 80GB PCIe"), "A100-80GB");
  EXPECT_EQ(name("NVIDIA GeForce RTX 4090"), "RTX4090");
  EXPECT_EQ(name("NVIDIA RTX A6000"), "A6000");
  EXPECT_EQ(name("NVIDIA L40S"), "L40S");
  EXPECT_EQ(name("rtx 5090"), "RTX5090");
  EXPECT_EQ(name("NVIDIA RTX A4000"), "none");
  EXPECT_EQ(name("NVIDIA L40"), "none");
  EXPECT_EQ(name(""), "none");
  for (const engine::GpuModel& gpu : engine::gpu_models()) EXPECT_EQ(engine::find_gpu_model(gpu.name), &gpu);
}

}  // namespace
}  // namespace wan
