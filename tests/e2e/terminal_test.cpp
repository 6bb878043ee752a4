// The program on a terminal, and what signals do to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <random>

#include "process.h"

namespace wan::e2e {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> command(int steps) {
  return {WAN_STAND_IN, "generate",       "--ckpt_dir",         ".", "--prompt", "x", "--save_file",
          "out.mp4",    "--sample_steps", std::to_string(steps)};
}

// What the bar drew over itself; not the lines that end with a newline and stay.
std::vector<std::string> redrawn(const std::string& text) {
  const std::string mark = "\r\x1b[K";
  std::vector<std::string> all;
  for (size_t at = text.find(mark); at != std::string::npos;) {
    const size_t begin = at + mark.size();
    at = text.find(mark, begin);
    const std::string line = text.substr(begin, at == std::string::npos ? at : at - begin);
    if (line.find('\n') == std::string::npos) all.push_back(line);
  }
  return all;
}

TEST(ProgressBar, ShowsStageExpertStepRateAndTimeLeft) {
  TemporaryFolder folder;
  const Terminal terminal;
  const Outcome o = run(command(6), {{"WAN_TEST_STEP_MS", "120"}}, &terminal, folder.path());
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_EQ(o.out, "out.mp4\n");
  EXPECT_THAT(
      o.err, AllOf(HasSubstr("sample"), HasSubstr("high"), HasSubstr("low"), HasSubstr("3/6"), HasSubstr("0.12 s/step"),
                   HasSubstr("left"), HasSubstr("###"), HasSubstr("\r\x1b[K"), HasSubstr("\x1b[32m")));
  EXPECT_THAT(o.err, HasSubstr("\r\x1b[Ksample  6/6 in "));
}

TEST(ProgressBar, TimeLeftRunsDuringALongStep) {
  TemporaryFolder folder;
  const Terminal terminal;
  Process p(command(2), {{"WAN_TEST_STEP_MS", "2200"}}, &terminal, folder.path());
  ASSERT_TRUE(p.wait_for_stderr("2s left"));
  EXPECT_TRUE(p.wait_for_stderr("1s left", std::chrono::milliseconds(1900)));
  p.signal(SIGKILL);
  p.finish();
}

TEST(ProgressBar, NoColorIsObeyedAndDumbTerminalsGetLines) {
  TemporaryFolder folder;
  const Terminal terminal;
  const Outcome plain = run(command(3), {{"WAN_TEST_STEP_MS", "60"}, {"NO_COLOR", "1"}}, &terminal, folder.path());
  EXPECT_THAT(plain.err, AllOf(HasSubstr("\r\x1b[K"), Not(HasSubstr("\x1b[32m")), Not(HasSubstr("\x1b[1m"))));
  const Outcome dumb = run(command(3), {{"TERM", "dumb"}}, &terminal, folder.path());
  EXPECT_THAT(dumb.err, AllOf(HasSubstr("sample 2/3"), Not(HasSubstr("\x1b"))));
}

TEST(ProgressBar, NeverWrapsANarrowTerminal) {
  for (const int columns : {20, 31, 47, 60, 100}) {
    TemporaryFolder folder;
    const Terminal terminal{columns};
    const Outcome o = run(command(4), {{"WAN_TEST_STEP_MS", "110"}, {"NO_COLOR", "1"}}, &terminal, folder.path());
    int seen = 0;
    for (const std::string& line : redrawn(o.err)) {
      EXPECT_LT(line.size(), static_cast<size_t>(columns)) << line;
      ++seen;
    }
    EXPECT_GT(seen, 3);
  }
}

TEST(Signals, AreObeyedAtTheStepBoundaryWithNothingLeftBehind) {
  for (const auto& [number, status] : {std::pair{SIGINT, 130}, {SIGTERM, 143}, {SIGHUP, 129}}) {
    TemporaryFolder folder;
    Process p(command(500), {{"WAN_TEST_STEP_MS", "20"}}, nullptr, folder.path());
    ASSERT_TRUE(p.wait_for_stderr("sample 2/500"));
    p.signal(number);
    const Outcome o = p.finish();
    EXPECT_EQ(o.status, status);
    EXPECT_EQ(o.out, "");
    EXPECT_THAT(o.err, AllOf(HasSubstr("stopping at the end of this step"), HasSubstr("wan: stopped by signal")));
    EXPECT_THAT(folder.names(), IsEmpty());
  }
}

TEST(Signals, WorkOnATerminalAtRandomTimes) {
  std::mt19937 random(7);
  for (int round = 0; round < 8; ++round) {
    TemporaryFolder folder;
    const Terminal terminal;
    Process p(command(500), {{"WAN_TEST_STEP_MS", "15"}}, &terminal, folder.path());
    ASSERT_TRUE(p.wait_for_stderr("sample"));
    p.wait_for_stderr("never", std::chrono::milliseconds(random() % 300));
    p.signal(SIGINT);
    EXPECT_EQ(p.finish().status, 130);
    EXPECT_THAT(folder.names(), IsEmpty());
  }
}

TEST(Signals, ASecondOneStopsAtOnce) {
  TemporaryFolder folder;
  Process p(command(5), {{"WAN_TEST_STEP_MS", "30000"}}, nullptr, folder.path());
  ASSERT_TRUE(p.wait_for_stderr("sample"));
  p.signal(SIGINT);
  ASSERT_TRUE(p.wait_for_stderr("a second signal stops at once"));
  const auto before = std::chrono::steady_clock::now();
  p.signal(SIGTERM);
  EXPECT_EQ(p.finish().status, 143);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
}

TEST(Signals, IgnoredOnesStayIgnored) {
  TemporaryFolder folder;
  const std::string line = "trap '' HUP; exec " WAN_STAND_IN
                           " generate --ckpt_dir . --prompt x --save_file out.mp4 "
                           "--sample_steps 60";
  Process p({"/bin/sh", "-c", line}, {{"WAN_TEST_STEP_MS", "10"}}, nullptr, folder.path());
  ASSERT_TRUE(p.wait_for_stderr("sample 2/60"));
  p.signal(SIGHUP);
  EXPECT_EQ(p.finish().status, 0);
  EXPECT_THAT(folder.names(), ElementsAre("out.mp4"));
}

}  // namespace
}  // namespace wan::e2e
