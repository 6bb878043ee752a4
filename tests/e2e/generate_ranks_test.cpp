// One video made by several processes, which the program starts itself or finds itself among.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "process.h"
#include "support/expected.h"

namespace wan::e2e {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kTiny = WAN_SOURCE_DIR "/tests/golden/tiny/Wan2.2-T2V-A14B";

class GenerateOnRanks : public testing::Test {
 protected:
  static std::vector<std::string> command(const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> all = {WAN_PROGRAM,      "generate",
                                    "--ckpt_dir",     kTiny,
                                    "--size",         "96*64",
                                    "--frame_num",    "9",
                                    "--prompt",       "x",
                                    "--base_seed",    "7",
                                    "--device",       "cpu",
                                    "--sample_steps", "4",
                                    "--threads",      "1",
                                    "--save_file",    name + ".y4m",
                                    "--save_latents", name + ".safetensors"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome make(const std::string& name, const std::vector<std::string>& more = {},
               const Process::Environment& environment = {}) {
    return run(command(name, more), environment, nullptr, folder.path());
  }
  double error_of(const std::string& name) {
    return test::relative_l2(test::Expected(folder / (name + ".safetensors")).f32("latents"),
                             test::Expected(folder / "one.safetensors").f32("latents"));
  }

  TemporaryFolder folder;
};

TEST_F(GenerateOnRanks, EveryMeshMakesTheVideoOfOneProcess) {
  ASSERT_EQ(make("one").status, 0);
  for (const std::vector<std::string>& ranks : {std::vector<std::string>{"--gpus", "2"},
                                                {"--gpus", "2", "--ulysses_size", "2", "--dit_fsdp"},
                                                {"--gpus", "3"},
                                                {"--gpus", "4", "--dit_fsdp"}}) {
    SCOPED_TRACE(testing::PrintToString(ranks));
    const Outcome o = make("several", ranks);
    ASSERT_EQ(o.status, 0) << o.err;
    EXPECT_THAT(o.lines(), ElementsAre("several.y4m")) << "one rank alone prints";
    EXPECT_THAT(o.err, HasSubstr(ranks[1] + " ranks, by wan --gpus"));
    EXPECT_LE(error_of("several"), 1e-5);
  }
}

TEST_F(GenerateOnRanks, ALaunchersRanksAreTakenAsTheyAre) {
  ASSERT_EQ(make("one").status, 0);
  const auto variables = [](const char* rank) {
    return Process::Environment{{"RANK", rank},
                                {"WORLD_SIZE", "2"},
                                {"LOCAL_RANK", rank},
                                {"LOCAL_WORLD_SIZE", "2"},
                                {"MASTER_ADDR", "127.0.0.1"},
                                {"MASTER_PORT", "29617"}};
  };
  Process second(command("several", {}), variables("1"), nullptr, folder.path());
  const Outcome first = make("several", {}, variables("0")), other = second.finish();
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_THAT(first.err, HasSubstr("2 ranks, by torchrun"));
  EXPECT_EQ(other.status, 0) << other.err;
  EXPECT_EQ(other.out, "");
  EXPECT_LE(error_of("several"), 1e-5);
}

TEST_F(GenerateOnRanks, RanksThatDifferAreRefusedOnAll) {
  const auto variables = [](const char* rank) {
    return Process::Environment{{"RANK", rank},
                                {"WORLD_SIZE", "2"},
                                {"LOCAL_RANK", rank},
                                {"LOCAL_WORLD_SIZE", "2"},
                                {"MASTER_ADDR", "127.0.0.1"},
                                {"MASTER_PORT", "29618"}};
  };
  Process second(command("several", {"--sample_shift", "3"}), variables("1"), nullptr, folder.path());
  const Outcome first = make("several", {}, variables("0")), other = second.finish();
  EXPECT_EQ(first.status, 1);
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(first.err, AllOf(HasSubstr("request"), HasSubstr("rank 1")));
  EXPECT_THAT(folder.names(), testing::Not(testing::Contains("several.y4m")));
}

TEST_F(GenerateOnRanks, SizesThatDoNotFitAreRefused) {
  const Outcome o = make("several", {"--gpus", "2", "--ulysses_size", "3"});
  EXPECT_EQ(o.status, 2);
  EXPECT_THAT(o.err, HasSubstr("[--ulysses_size] 3 of 2 ranks; expected 2, or 1 on each branch of the guidance"));
  EXPECT_EQ(o.err.find("3 of 2 ranks"), o.err.rfind("3 of 2 ranks")) << "said once";
}

}  // namespace
}  // namespace wan::e2e
