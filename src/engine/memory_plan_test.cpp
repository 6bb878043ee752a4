// What the plan says, against what real runs take; and placements of the official models.
#include "engine/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "core/counting_memory.h"
#include "engine/generation.h"
#include "engine/generation_spec.h"
#include "io/tokenizer.h"
#include "ops/kernels.h"
#include "support/golden_cases.h"

namespace wan::engine {
namespace {

struct Setting {
  const char* checkpoint;
  int width, height, frames;
  DType compute = DType::f32;
  int steps = 4;
  double guidance_low = 3, guidance_high = 4;
  SolverKind solver = SolverKind::unipc;
  const char* image = nullptr;
  bool round = false;
};

const std::string images = WAN_SOURCE_DIR "/tests/fixtures/demo/";

class PlannedRun : public testing::TestWithParam<Setting> {};

// A whole generation on the CPU, with a count of all that it allocates.
TEST_P(PlannedRun, TakesWhatThePlanSays) {
  const Setting& run = GetParam();
  const ModelsOnDisk models(run.checkpoint, {});
  Request r;
  r.prompt = "a red ball rolls";
  r.width = run.width;
  r.height = run.height;
  r.frames = run.frames;
  r.steps = run.steps;
  r.solver = run.solver;
  r.guidance_low = run.guidance_low;
  r.guidance_high = run.guidance_high;
  r.seed = 1;
  if (run.image) r.image = images + run.image;
  const PreparedRequest prepared = prepare(models, r);

  CountingMemory memory(host_memory());
  Arena arena(memory);
  Context ctx{.arena = &arena, .kernels = &ops::cpu_kernels(), .compute = run.compute, .threads = 2};
  const weights::Policy policy{run.compute, false, &memory, nullptr, 2};
  weights::Policy dit = policy;
  dit.round_to_bf16 = run.round;
  LoadedModels loaded(models, policy, policy, dit, nullptr, nullptr);
  Hooks hooks;
  int64_t frames = 0;
  hooks.on_frame = [&](std::span<const uint8_t>, int, int) { ++frames; };
  std::map<Stage, int64_t> measured;
  Stage stage = Stage::load;
  hooks.on_progress = [&](const Progress& p) {
    measured[stage] = std::max(measured[stage], memory.peak());
    if (p.stage != stage) memory.reset_peak();
    stage = p.stage;
  };
  Generation(ctx, ctx, models, loaded, prepared, hooks).run({}, true);
  EXPECT_EQ(frames, run.frames);

  GenerationSpec spec = generation_spec(models, prepared, {run.compute, false, false, run.round, 2});
  const auto tokenizer = io::Tokenizer::load(models.files().tokenizer);
  const auto tokens = [&](const std::string& text) {
    return static_cast<int64_t>(tokenizer.encode(text, static_cast<int>(models.dit_config().text_len)).size());
  };
  spec.text_tokens = {tokens(prepared.clean_prompt), tokens(prepared.clean_negative)};
  const StagePeaks planned = MemoryPlan(spec).place_all().device;
  const auto expect_near = [](const char* name, int64_t plan, int64_t real) {
    EXPECT_GE(plan, real) << name;
    EXPECT_LE(static_cast<double>(plan), 1.05 * static_cast<double>(real)) << name;
    RecordProperty(name, std::to_string(static_cast<double>(plan) / static_cast<double>(real)));
  };
  if (run.image)  // whose weights come before its stage begins
    expect_near("text, image", std::max(planned.text, planned.image),
                std::max(measured[Stage::text], measured[Stage::image]));
  else
    expect_near("text", planned.text, measured[Stage::text]);
  expect_near("sample", std::max(planned.condition, planned.sample), measured[Stage::sample]);
  expect_near("decode", planned.decode, measured[Stage::decode]);

  // Unknown prompts count as the longest ones.
  spec.text_tokens = {};
  EXPECT_GE(MemoryPlan(spec).place_all().device.most(), planned.most());
}

const std::string t2v = test::golden_folder + "Wan2.2-T2V-A14B", i2v = test::golden_folder + "Wan2.2-I2V-A14B",
                  ti2v = test::golden_folder + "Wan2.2-TI2V-5B", demo = WAN_SOURCE_DIR "/models/demo-t2v";
constexpr DType bf = DType::bf16;

INSTANTIATE_TEST_SUITE_P(
    Configurations, PlannedRun,
    testing::Values(Setting{t2v.c_str(), 96, 64, 9}, Setting{t2v.c_str(), 96, 64, 9, bf},
                    Setting{t2v.c_str(), 160, 96, 17, DType::f32, 6}, Setting{t2v.c_str(), 64, 160, 33, bf, 5},
                    Setting{t2v.c_str(), 96, 64, 1, DType::f32, 1},
                    Setting{t2v.c_str(), 96, 64, 5, DType::f32, 3, 1, 1},
                    Setting{t2v.c_str(), 96, 64, 9, bf, 8, 1, 4, SolverKind::euler},
                    Setting{t2v.c_str(), 96, 96, 13, DType::f32, 30, 3, 1, SolverKind::dpmpp},
                    Setting{t2v.c_str(), 96, 64, 9, DType::f32, 4, 3, 4, SolverKind::unipc, nullptr, true},
                    Setting{i2v.c_str(), 96, 64, 9, DType::f32, 4, 3.5, 3.5, SolverKind::unipc, "pink_cross.png"},
                    Setting{i2v.c_str(), 128, 96, 17, bf, 4, 3.5, 3.5, SolverKind::unipc, "pink_cross.png"},
                    Setting{ti2v.c_str(), 96, 64, 9}, Setting{ti2v.c_str(), 160, 96, 21, bf},
                    Setting{ti2v.c_str(), 96, 64, 13, DType::f32, 4, 5, 5, SolverKind::unipc, "pink_cross.png"},
                    Setting{ti2v.c_str(), 128, 128, 5, bf, 50, 1, 1, SolverKind::euler, "pink_cross.png"},
                    Setting{demo.c_str(), 128, 128, 17, DType::f32, 3}, Setting{demo.c_str(), 64, 128, 9, bf, 3}));

GenerationSpec official(Task task, int width, int height, int frames, bool cuda = true) {
  Request r;
  r.width = width;
  r.height = height;
  r.frames = frames;
  return generation_spec(official_dimensions(task), task, pipeline::defaults_of(task), r,
                         {cuda ? DType::bf16 : DType::f32, cuda, false, false, 2});
}

constexpr int64_t gb = 1'000'000'000;

// Measured on an H100 as allocated by our counting memory, one forward of one expert with one prompt: 34.09, 31.43 and
// 12.19 GB with all of the FFN's hidden rows at once, text keys and values kept and 0.8 GB (0.3 GB) of conditioning
// weights. Since then those went; what is left is block weights and activations.
TEST(MemoryPlan, OfficialTransformersTakeTheirWeightsAndFewActivations) {
  const auto one_expert = [](Task task, int width, int height, int frames) {
    const MemoryPlan plan(official(task, width, height, frames));
    return static_cast<double>(plan.place_streamed(99).device.sample - cuda_context_bytes) / 1e9;
  };
  EXPECT_NEAR(one_expert(Task::t2v_A14B, 1280, 720, 81), 33.1, 0.05 * 33.1);
  EXPECT_NEAR(one_expert(Task::t2v_A14B, 832, 480, 81), 30.4, 0.05 * 30.4);
  EXPECT_NEAR(one_expert(Task::ti2v_5B, 1280, 704, 121), 11.2, 0.05 * 11.2);
}

// Measured as the driver counts it, less the context: 6.44 and 6.30 GB, weights and the convolutions' kernels included.
TEST(MemoryPlan, OfficialVaesTakeWhatWasMeasured) {
  const MemoryPlan a14b(official(Task::t2v_A14B, 1280, 720, 81)), small(official(Task::ti2v_5B, 1280, 704, 121));
  const auto decode = [](const MemoryPlan& plan) {
    return static_cast<double>(plan.place_streamed(0).device.decode - cuda_context_bytes) / 1e9;
  };
  EXPECT_NEAR(decode(a14b), 6.44, 0.05 * 6.44);
  EXPECT_NEAR(decode(small), 6.30, 0.05 * 6.30);
}

TEST(MemoryPlan, ABudgetIsNeverExceededAndFilledWithBlocks) {
  const MemoryPlan plan(official(Task::t2v_A14B, 1280, 720, 81));
  const int64_t least = plan.minimum(), block = plan.block_bytes();
  EXPECT_NEAR(static_cast<double>(block), 0.703e9, 0.002e9);
  EXPECT_FALSE(plan.place(least - 1).fits);
  int64_t resident = -1;
  for (int64_t budget = least; budget < 80 * gb; budget += gb / 2) {
    const Placement p = plan.place(budget);
    ASSERT_TRUE(p.fits) << budget;
    EXPECT_LE(p.device.most(), budget);
    EXPECT_GE(p.resident, resident) << budget;
    EXPECT_EQ(p.places, p.both_experts ? 80 : p.streamed ? std::min<int64_t>(p.resident + 2, 40) : 40) << budget;
    EXPECT_EQ(p.in_host, p.both_experts ? 0 : 40 - p.resident);
    if (p.streamed && p.resident < 37) {
      EXPECT_GT(p.device.sample + block, budget) << "one more block would fit";
    }
    resident = p.resident;
  }
  EXPECT_TRUE(plan.place(80 * gb).both_experts);
  EXPECT_TRUE(plan.place(80 * gb).kept_for_decode);
}

TEST(MemoryPlan, BlocksThatTheHostCannotHoldComeFromDisk) {
  const MemoryPlan plan(official(Task::t2v_A14B, 1280, 720, 81));
  EXPECT_EQ(plan.place(8 * gb, 64 * gb).from_disk, 0);
  const Placement p = plan.place(8 * gb, 40 * gb);
  EXPECT_TRUE(p.fits);
  EXPECT_GT(p.from_disk, 5);
  EXPECT_EQ(p.resident + p.in_host + p.from_disk, 40);
  EXPECT_LE(p.host.most(), 40 * gb);
  EXPECT_GT(p.host.most(), 38 * gb);
}

TEST(MemoryPlan, TheTextEncoderOnTheCpuLeavesTheGpu) {
  GenerationSpec spec = official(Task::t2v_A14B, 832, 480, 81);
  const MemoryPlan gpu(spec);
  spec.text_on_cpu = true;
  const MemoryPlan cpu(spec);
  EXPECT_GT(gpu.place_streamed(0).device.text, 3 * gb);
  EXPECT_LT(cpu.place_streamed(0).device.text, gb);
  EXPECT_GT(cpu.place_streamed(0).host.text, gpu.place_streamed(0).host.text);
}

// Many blocks are not run one by one.
TEST(MemoryPlan, FewBlocksTellWhatAllTake) {
  GenerationSpec spec = official(Task::t2v_A14B, 96, 64, 9);  // few tokens: keys and values are kept
  spec.dimensions.dit.layers = 7;
  const int64_t seven = dry_memory(spec).high;
  spec.dimensions.dit.layers = 8;
  const int64_t eight = dry_memory(spec).high;
  spec.dimensions.dit.layers = 20;
  EXPECT_EQ(dry_memory(spec).high, eight + 12 * (eight - seven));
  EXPECT_EQ(eight - seven, 2 * 2 * 512 * 5120 * 2);  // a block's keys and values, in bf16, of two prompts
}

}  // namespace
}  // namespace wan::engine
