#include "engine/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "engine/generation_spec.h"

namespace wan::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t gb = 1'000'000'000;

GenerationSpec spec_of(Task task, DType compute = DType::bf16, bool cuda = true) {
  return generation_spec(official_dimensions(task), task, pipeline::defaults_of(task), {},
                         {compute, cuda, false, false, 2});
}

std::string refusal(const GenerationSpec& spec, const FitBudget& budget) {
  try {
    require_fit(MemoryPlan(spec), budget);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
    return error.what();
  }
  return "fits";
}

TEST(Fit, OneByteUnderTheMinimumIsRefused) {
  const GenerationSpec spec = spec_of(Task::t2v_A14B);
  const int64_t least = MemoryPlan(spec).minimum();
  EXPECT_EQ(refusal(spec, {"A40", least, 0, 0}), "fits");
  EXPECT_THAT(refusal(spec, {"A40", least - 1, 0, 0}),
              AllOf(HasSubstr("1280x720 with 81 frames in bf16 needs at least"), HasSubstr("A40's memory")));
}

TEST(Fit, EveryChangeReallyFits) {
  for (const Task task : {Task::t2v_A14B, Task::i2v_A14B, Task::ti2v_5B})
    for (const DType compute : {DType::bf16, DType::f32})
      for (const int64_t bytes : {3 * gb, 4 * gb, 5 * gb, 6 * gb}) {
        const GenerationSpec spec = spec_of(task, compute);
        if (MemoryPlan(spec).minimum() <= bytes) continue;
        const std::vector<SpecChange> changes = changes_that_fit(spec, {"X", bytes, 0, 0});
        EXPECT_LE(changes.size(), 3u);
        for (const SpecChange& change : changes) EXPECT_LE(MemoryPlan(change.spec).minimum(), bytes) << change.flags;
      }
}

// What leaves the video as it is comes first.
TEST(Fit, TheCheapestChangesComeFirst) {
  const GenerationSpec spec = spec_of(Task::t2v_A14B, DType::f32);
  const std::string text = refusal(spec, {"A40", 8 * gb, 46 * gb, 256 * gb});
  const size_t budget = text.find("--vram 1"), bf16 = text.find("--dtype bf16"), frames = text.find("--frame_num");
  EXPECT_NE(budget, std::string::npos) << text;
  EXPECT_LT(budget, bf16) << text;
  EXPECT_LT(bf16, frames) << text;
  EXPECT_EQ(std::ranges::count(text, '\n'), 3);
}

TEST(Fit, FramesAndSizesAreTheLargestThatFit) {
  const GenerationSpec spec = spec_of(Task::t2v_A14B);
  const int64_t bytes = 5 * gb;
  for (const SpecChange& change : changes_that_fit(spec, {"X", bytes, 0, 0}, 9)) {
    GenerationSpec more = change.spec;
    if (change.flags.starts_with("--size")) {
      EXPECT_NEAR(static_cast<double>(more.width) / static_cast<double>(more.height), 16. / 9, 0.1);
      more.width += more.dimensions.width_step();
      more.height = static_cast<int64_t>(std::llround(static_cast<double>(more.width) * 9 / 16 / 16)) * 16;
    } else {
      ASSERT_TRUE(change.flags.starts_with("--frame_num")) << change.flags;
      more.frames += 4;
    }
    EXPECT_GT(MemoryPlan(more).minimum(), bytes) << change.flags;
  }
}

TEST(Fit, TheTextEncoderMayBeWhatIsTooLarge) {
  GenerationSpec spec = spec_of(Task::ti2v_5B);
  spec.width = spec.height = 64;
  spec.frames = 5;
  const MemoryPlan plan(spec);
  EXPECT_STREQ(plan.place_streamed(0).device.tightest(), "text");
  const std::string text = refusal(spec, {"X", plan.minimum() - 1, 0, 0});
  EXPECT_THAT(
      text, AllOf(HasSubstr("encoding the text takes the most"), HasSubstr("--t5_cpu"), Not(HasSubstr("--frame_num"))));
}

TEST(Fit, OnTheCpuTheHostsMemoryCounts) {
  const GenerationSpec spec = spec_of(Task::t2v_A14B, DType::bf16, false);
  const std::string text = refusal(spec, {"CPU", 32 * gb, 128 * gb, 0});
  EXPECT_THAT(text, AllOf(HasSubstr("the host's memory"), HasSubstr("--ram 6"), Not(HasSubstr("--t5_cpu"))));
}

TEST(Fit, WhereNothingHelpsItSaysSo) {
  EXPECT_THAT(refusal(spec_of(Task::t2v_A14B), {"X", gb, 0, 0}), HasSubstr("use a smaller model"));
}

TEST(Fit, AreasKeepTheirShape) {
  const auto sized = [](Task task, int64_t width, int64_t height) {
    GenerationSpec s = spec_of(task);
    s.width = width;
    s.height = height;
    s = with_area(s, 832 * 480);
    return std::pair(s.width, s.height);
  };
  EXPECT_EQ(sized(Task::t2v_A14B, 1280, 720), std::pair(int64_t{832}, int64_t{480}));
  EXPECT_EQ(sized(Task::t2v_A14B, 720, 1280), std::pair(int64_t{480}, int64_t{832}));
  EXPECT_EQ(sized(Task::ti2v_5B, 1280, 704), std::pair(int64_t{832}, int64_t{480}));
}

}  // namespace
}  // namespace wan::engine
