// Interrupted runs of the real program go on, on the tiny golden checkpoints.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <random>
#include <thread>

#include "process.h"

namespace wan::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Resume : public testing::Test {
 protected:
  static constexpr int steps = 40;

  std::vector<std::string> command(const std::string& output, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {WAN_PROGRAM,
                                    "generate",
                                    "--ckpt_dir",
                                    WAN_SOURCE_DIR "/tests/golden/tiny/Wan2.2-T2V-A14B",
                                    "--size",
                                    "96*64",
                                    "--frame_num",
                                    "9",
                                    "--sample_steps",
                                    std::to_string(steps),
                                    "--prompt",
                                    "x",
                                    "--threads",
                                    "2",
                                    "--no_metadata",
                                    "--save_file",
                                    output};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome start(const std::vector<std::string>& words) const { return run(words, {}, nullptr, folder.path()); }
  std::vector<std::string> saved() const {
    std::vector<std::string> out;
    for (const std::string& name : folder.names())
      if (name.starts_with(".wan-run-")) out.push_back(name);
    return out;
  }
  /// Starts, waits for a step to be done and kills.
  void kill_after(const std::vector<std::string>& words, int step) const {
    Process p(words, {}, nullptr, folder.path());
    ASSERT_TRUE(p.wait_for_stderr(std::to_string(step) + "/" + std::to_string(steps)));
    p.signal(SIGKILL);
    EXPECT_EQ(p.finish().status, 128 + SIGKILL);
  }

  TemporaryFolder folder;
};

// However often and whenever it is killed, the video is that of a run that was not.
TEST_F(Resume, KilledAtRandomTimesEndsWithTheSameBytes) {
  ASSERT_EQ(start(command("whole.y4m", {"--base_seed", "3", "--resume", "false"})).status, 0);
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(start(command("warm.y4m", {"--base_seed", "3", "--resume", "false"})).status, 0);
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);

  std::mt19937 random(11);
  const auto words = command("out.y4m", {"--base_seed", "3", "--resume", "true"});
  int continued = 0;
  for (int i = 0; i < 12; ++i) {
    Process p(words, {}, nullptr, folder.path());
    std::this_thread::sleep_for(whole / 4 + whole * (random() % 1000) / 1500);
    p.signal(SIGKILL);
    continued += p.finish().err.find("continues an interrupted run") != std::string::npos;
  }
  const Outcome last = start(words);
  ASSERT_EQ(last.status, 0) << last.err;
  EXPECT_GT(continued, 0) << "no run was killed between its first step and its end";
  EXPECT_EQ(read(folder / "out.y4m"), read(folder / "whole.y4m"));
  EXPECT_THAT(saved(), IsEmpty());
}

// The seed was drawn by the run that was killed; the same command without one takes it over.
TEST_F(Resume, ADrawnSeedIsTakenOver) {
  const auto words = command("out.y4m", {"--resume", "true"});
  kill_after(words, 5);
  ASSERT_EQ(saved().size(), 1u);
  const Outcome again = start(words);
  ASSERT_EQ(again.status, 0) << again.err;
  const size_t at = again.err.find("seed ", again.err.find("continues an interrupted run"));
  ASSERT_NE(at, std::string::npos) << again.err;
  const std::string seed = std::to_string(std::stoll(again.err.substr(at + 5)));
  ASSERT_EQ(start(command("same.y4m", {"--base_seed", seed})).status, 0);
  EXPECT_EQ(read(folder / "out.y4m"), read(folder / "same.y4m"));
}

TEST_F(Resume, AnotherRequestStartsAfresh) {
  kill_after(command("out.y4m", {"--base_seed", "3", "--resume", "true"}), 5);
  for (const auto& other :
       {std::vector<std::string>{"--base_seed", "4"}, {"--base_seed", "3", "--sample_shift", "7"}}) {
    const Outcome o = start(command("other.y4m", other));
    ASSERT_EQ(o.status, 0) << o.err;
    EXPECT_THAT(o.err, Not(HasSubstr("continues")));
  }
  EXPECT_EQ(saved().size(), 1u) << "the interrupted one is still there";
  EXPECT_THAT(start(command("other.y4m", {"--base_seed", "3"})).err, HasSubstr("continues"));
}

TEST_F(Resume, CtrlCKeepsTheStepsAndSaysSo) {
  const auto words = command("out.y4m", {"--base_seed", "3", "--resume", "true"});
  Process p(words, {}, nullptr, folder.path());
  ASSERT_TRUE(p.wait_for_stderr("5/40"));
  p.signal(SIGINT);
  const Outcome o = p.finish();
  EXPECT_EQ(o.status, 130);
  EXPECT_THAT(o.err, AllOf(HasSubstr("of 40 steps are kept"), HasSubstr("the same command goes on from there")));
  EXPECT_THAT(start(words).err, HasSubstr("continues"));
}

// A short run, the default, leaves nothing and writes nothing.
TEST_F(Resume, ShortRunsKeepNothing) {
  kill_after(command("out.y4m"), 5);
  EXPECT_THAT(saved(), IsEmpty());
}

TEST_F(Resume, ADamagedFileIsNoFile) {
  const auto words = command("out.y4m", {"--base_seed", "3", "--resume", "true"});
  kill_after(words, 5);
  ASSERT_EQ(saved().size(), 1u);
  const auto file = folder / saved()[0];
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  const Outcome o = start(words);
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.err, Not(HasSubstr("continues")));
  EXPECT_THAT(saved(), IsEmpty());
}

// Two runs of one command at once, such as for two seeds, do not take each other's steps.
TEST_F(Resume, ASecondProcessKeepsOut) {
  Process first(command("out.y4m", {"--resume", "true"}), {}, nullptr, folder.path());
  ASSERT_TRUE(first.wait_for_stderr("2/40"));
  first.signal(SIGSTOP);
  const Outcome second = start(command("out2.y4m", {"--resume", "true"}));
  first.signal(SIGCONT);
  EXPECT_EQ(second.status, 0) << second.err;
  EXPECT_THAT(second.err, AllOf(HasSubstr("another process"), Not(HasSubstr("continues"))));
  EXPECT_EQ(first.finish().status, 0);
  EXPECT_NE(read(folder / "out.y4m"), read(folder / "out2.y4m")) << "two seeds, one video";
}

}  // namespace
}  // namespace wan::e2e
