#include "engine/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "support/golden_cases.h"
#include "support/temp_dir.h"

namespace wan::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t gb = 1'000'000'000;

TEST(Doctor, JudgesMemory) {
  EXPECT_EQ(judge_memory(20 * gb, 24 * gb).health, Health::ok);
  EXPECT_EQ(judge_memory(20 * gb, 24 * gb).found, "20.0 GB of 24.0 GB may be used");
  const Finding little = judge_memory(3 * gb, 24 * gb);
  EXPECT_EQ(little.health, Health::warning);
  EXPECT_THAT(little.mend, HasSubstr("docker run --memory"));
}

TEST(Doctor, JudgesTheDisk) {
  EXPECT_EQ(judge_disk("/videos", 2 * gb).health, Health::ok);
  EXPECT_EQ(judge_disk("/videos", gb / 2).health, Health::warning);
  EXPECT_EQ(judge_disk("/videos", -1).health, Health::failure);
}

// Docker's default of 64 MB ends NCCL with "failed to extend /dev/shm".
TEST(Doctor, WhatSeveralGpusNeedIsNoWarningForOne) {
  EXPECT_EQ(judge_shared_memory(64 << 20, 1).health, Health::ok);
  EXPECT_EQ(judge_shared_memory(64 << 20, 2).health, Health::warning);
  EXPECT_EQ(judge_shared_memory(64 << 20, 2).mend, "docker run --shm-size=1g");
  EXPECT_EQ(judge_shared_memory(gb, 2).health, Health::ok);
  EXPECT_EQ(judge_locked_memory(64 << 10, 1).health, Health::ok);
  EXPECT_EQ(judge_locked_memory(64 << 10, 8).health, Health::warning);
  EXPECT_EQ(judge_locked_memory(unlimited, 8).health, Health::ok);
}

TEST(Doctor, JudgesGpus) {
  const Finding a40 = judge_gpu(1, "NVIDIA A40", 8, 6, 48 * gb);
  EXPECT_EQ(a40.health, Health::ok);
  EXPECT_EQ(a40.subject, "GPU 1");
  EXPECT_EQ(a40.found, "NVIDIA A40, 48.0 GB, compute capability 8.6");
  EXPECT_EQ(judge_gpu(0, "Tesla T4", 7, 5, 16 * gb).health, Health::failure);
}

Finding checkpoint(const std::filesystem::path& folder) {
  const std::vector<Finding> all = examine({folder, "."});
  const auto at = std::ranges::find(all, "checkpoint", &Finding::subject);
  return at == all.end() ? Finding{} : *at;
}

TEST(Doctor, LooksAtEveryTensorOfACheckpoint) {
  const std::string whole = test::golden_folder + test::golden_cases[0].checkpoint;
  const Finding good = checkpoint(whole);
  EXPECT_EQ(good.health, Health::ok) << good.found;
  EXPECT_THAT(good.found, HasSubstr("t2v-A14B"));

  const test::TempDir copy;
  std::filesystem::copy(whole, copy.path(), std::filesystem::copy_options::recursive);
  std::filesystem::remove_all(copy / "low_noise_model");
  const Finding bad = checkpoint(copy.path());
  EXPECT_EQ(bad.health, Health::failure);
  EXPECT_THAT(bad.found, HasSubstr("low_noise_model"));
  EXPECT_THAT(bad.mend, HasSubstr("wan download"));
}

TEST(Doctor, LooksAtTheMachineAndLeavesNothingBehind) {
  const test::TempDir folder;
  std::vector<std::string> subjects;
  for (const Finding& f : examine({"", folder.path()})) {
    subjects.push_back(f.subject);
    EXPECT_NE(f.found, "") << f.subject;
    if (f.health != Health::ok) {
      EXPECT_NE(f.mend + f.needed, "") << f.subject << ": " << f.found;
    }
  }
  EXPECT_THAT(subjects,
              testing::IsSupersetOf({"CPU", "memory", "/dev/shm", "memlock", "network", "disk", "video, mp4"}));
  EXPECT_THAT(subjects, Not(testing::Contains("checkpoint")));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace wan::engine
