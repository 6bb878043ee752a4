#include "engine/saved_run.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "support/cpu_context.h"
#include "support/temp_dir.h"

namespace wan::engine {
namespace {

const Shape shape{2, 1, 2, 2};
constexpr SavedRun::Options always{.every_step = true};

struct State {
  test::CpuContext cpu;
  std::vector<float> latent{1, 2, 3, 4, 5, 6, 7, -0.f}, past{8, 9, 10, 11, 12, 13, 14, 1e-40f};
  std::vector<Tensor> history{cpu.from(past, shape)};
  Tensor now = cpu.from(latent, shape);
  pipeline::RunState at(int64_t steps) const { return {steps, now, history}; }
};

TEST(SavedRun, GivesBackWhatItGot) {
  const test::TempDir dir;
  const State state;
  auto run = SavedRun::open(dir.path(), "k", always);
  ASSERT_TRUE(run);
  EXPECT_FALSE(run->find(shape, 9, 1));
  run->offer(state.at(3), 42, host_memory());
  const auto found = run->find(shape, 9, 1);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->seed, 42);
  EXPECT_EQ(found->steps_done, 3);
  EXPECT_EQ(found->latent, state.latent);
  EXPECT_TRUE(std::signbit(found->latent[7]));
  EXPECT_EQ(found->history, (std::vector<std::vector<float>>{state.past}));
  run->remove();
  EXPECT_FALSE(run->find(shape, 9, 1));
}

TEST(SavedRun, WhatDoesNotFitCountsAsNone) {
  const test::TempDir dir;
  const State state;
  auto run = SavedRun::open(dir.path(), "k", always);
  run->offer(state.at(3), 42, host_memory());
  EXPECT_TRUE(run->find(shape, 3, 1));
  EXPECT_FALSE(run->find(shape, 2, 1)) << "more steps than the request has";
  EXPECT_FALSE(run->find({2, 1, 2, 3}, 9, 1));
  EXPECT_FALSE(run->find(shape, 9, 2)) << "another solver";
}

TEST(SavedRun, TheFirstIntervalPassesBeforeAnythingIsSaved) {
  const test::TempDir dir;
  const State state;
  auto run = SavedRun::open(dir.path(), "k", {.interval = std::chrono::hours(1)});
  run->offer(state.at(1), 1, host_memory());
  run->save_last(host_memory());
  EXPECT_EQ(run->saved_steps(), 0);
  EXPECT_FALSE(run->find(shape, 9, 1));
  auto now = SavedRun::open(dir.path(), "now", {.interval = std::chrono::seconds(0)});
  now->offer(state.at(1), 1, host_memory());
  EXPECT_EQ(now->saved_steps(), 1);
}

TEST(SavedRun, OneAtATime) {
  const test::TempDir dir;
  auto first = SavedRun::open(dir.path(), "k", always);
  ASSERT_TRUE(first);
  EXPECT_FALSE(SavedRun::open(dir.path(), "k", always));
  EXPECT_FALSE(SavedRun::open(dir.path() / "x" / "..", "k", always)) << "the same folder by another name";
  EXPECT_TRUE(SavedRun::open(dir.path(), "other", always));
  first.reset();
  EXPECT_TRUE(SavedRun::open(dir.path(), "k", always));
}

TEST(SavedRun, AFolderThatCannotBeWrittenIsAnError) {
  const test::TempDir dir;
  const State state;
  auto run = SavedRun::open(dir.path() / "missing", "k", always);
  ASSERT_TRUE(run);
  EXPECT_THROW(run->offer(state.at(1), 1, host_memory()), Error);
}

}  // namespace
}  // namespace wan::engine
