// The real program on the tiny golden checkpoints: files, refusals, signals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "process.h"
#include "support/expected.h"

namespace wan::e2e {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const std::string kGolden = WAN_SOURCE_DIR "/tests/golden/tiny/";

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class GoldenProgram : public testing::Test {
 protected:
  static std::vector<std::string> t2v(const std::vector<std::string>& more) {
    std::vector<std::string> all = {
        WAN_PROGRAM,   "generate", "--task",   "t2v-A14B", "--ckpt_dir", kGolden + "Wan2.2-T2V-A14B",
        "--frame_num", "9",        "--prompt", "x",        "--threads",  "2"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome start(const std::vector<std::string>& command) { return run(command, {}, nullptr, folder.path()); }

  TemporaryFolder folder;
};

TEST_F(GoldenProgram, UpstreamsCommandLineGivesUpstreamsLatentsAndShowMakesThemAgain) {
  std::ifstream in(kGolden + "cases.json");
  const json c = json::parse(in).at("t2v_dpmpp");
  const Outcome o =
      start(t2v({"--size", "96*64", "--prompt", c["prompt"], "--sample_solver", "dpm++", "--sample_steps", "6",
                 "--base_seed", "1234", "--save_file", "out.mp4", "--save_latents", "l.safetensors"}));
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_EQ(o.last_line(), "out.mp4");
  const test::Expected golden(kGolden + "expected.safetensors"), made(folder / "l.safetensors");
  EXPECT_LE(test::relative_l2(made.f32("latents"), golden.f32("t2v_dpmpp.latent_out")), 1e-3);

  const Outcome show = start({WAN_PROGRAM, "show", "out.mp4"});
  ASSERT_EQ(show.status, 0) << show.err;
  const std::string again =
      std::string(WAN_PROGRAM) + show.last_line().substr(3) + " --threads 2 --save_latents again.safetensors";
  const Outcome second = start({"/bin/sh", "-c", again});
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_EQ(read(folder / "l.safetensors"), read(folder / "again.safetensors"));
  EXPECT_EQ(read(folder / "out.mp4"), read(folder / "out_again.mp4"));
}

TEST_F(GoldenProgram, NoMetadataStoresNone) {
  ASSERT_EQ(start(t2v({"--size", "64*64", "--sample_steps", "1", "--save_file", "o.mp4", "--no_metadata"})).status, 0);
  EXPECT_EQ(read(folder / "o.mp4").find("sample_steps"), std::string::npos);
  EXPECT_EQ(start({WAN_PROGRAM, "show", "o.mp4"}).status, 1);
}

struct Refused {
  std::vector<std::string> arguments;
  const char* says;
  int status = 2;
};

class Refusals : public GoldenProgram, public testing::WithParamInterface<Refused> {};

TEST_P(Refusals, ComeBeforeAnythingIsWritten) {
  std::vector<std::string> all = {"--size", "64*64", "--sample_steps", "1", "--save_file", "o.mp4"};
  all.insert(all.end(), GetParam().arguments.begin(), GetParam().arguments.end());
  const Outcome o = start(t2v(all));
  EXPECT_EQ(o.status, GetParam().status) << o.err;
  EXPECT_EQ(o.out, "");
  EXPECT_THAT(o.err, AllOf(StartsWith("wan: error: "), HasSubstr(GetParam().says)));
  EXPECT_THAT(folder.names(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Table, Refusals,
    testing::Values(Refused{{"--size", "97*64"}, "96 and 112"}, Refused{{"--size", "0*64"}, "width"},
                    Refused{{"--size", "-64*64"}, "width"}, Refused{{"--size", "64*2147483632"}, "height"},
                    Refused{{"--frame_num", "10"}, "9 and 13"}, Refused{{"--frame_num", "0"}, "frame_num"},
                    Refused{{"--frame_num", "-3"}, "frame_num"}, Refused{{"--frame_num", "2147483645"}, "frame_num"},
                    Refused{{"--sample_steps", "0"}, "1 to 1000"}, Refused{{"--sample_steps", "1001"}, "1 to 1000"},
                    Refused{{"--sample_shift", "0"}, "sample_shift"}, Refused{{"--sample_shift", "nan"}, "finite"},
                    Refused{{"--sample_guide_scale", "-1"}, "sample_guide_scale"},
                    Refused{{"--sample_guide_scale", "nan"}, "finite"}, Refused{{"--fps", "0"}, "fps"},
                    Refused{{"--save_file", "missing/o.mp4"}, "missing"}, Refused{{"--save_file", "o.avi"}, ".avi"},
                    Refused{{"--save_file", "/proc/o.mp4"}, "/proc"},
                    Refused{{"--save_latents", "missing/l.safetensors"}, "missing"},
                    Refused{{"--dump", "missing/d.safetensors"}, "missing"}, Refused{{"--threads", "99999"}, "threads"},
                    Refused{{"--task", "ti2v-5B"}, "t2v-A14B"}, Refused{{"--device", "tpu"}, "auto, cpu or cuda"},
                    Refused{{"--noise", "missing.safetensors"}, "missing.safetensors", 1},
                    Refused{{"--ckpt_dir", "missing"}, "missing", 1}, Refused{{"--ckpt_dir", WAN_SOURCE_DIR}, "", 1},
                    Refused{{"--image", kGolden + "input.png"}, "image"}));

TEST_F(GoldenProgram, SignalsAtRandomTimesLeaveNothingBehind) {
  std::mt19937 random(11);
  for (int round = 0; round < 6; ++round) {
    Process p(t2v({"--size", "64*64", "--sample_steps", "1000", "--save_file", "o.mp4", "--save_latents",
                   "l.safetensors", "--dump", "d.safetensors"}),
              {}, nullptr, folder.path());
    ASSERT_TRUE(p.wait_for_stderr("64x64", std::chrono::seconds(20)));
    p.wait_for_stderr("never", std::chrono::milliseconds(random() % 1500));
    const bool interrupt = random() % 2 == 0;
    p.signal(interrupt ? SIGINT : SIGTERM);
    EXPECT_EQ(p.finish().status, interrupt ? 130 : 143);
    EXPECT_THAT(folder.names(), IsEmpty());
  }
}

TEST_F(GoldenProgram, AFullDiskIsAnErrorWithNothingHalfWritten) {
  std::string line = "ulimit -f 16; exec";
  for (const std::string& a : t2v({"--size", "64*64", "--sample_steps", "1", "--save_file", "o.y4m"}))
    line += " '" + a + "'";
  const Outcome o = start({"/bin/sh", "-c", line});
  EXPECT_EQ(o.status, 1);
  EXPECT_THAT(o.err, HasSubstr("wan: error: "));
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST_F(GoldenProgram, PromptFileAndFramesFolder) {
  std::ofstream(folder / "p.txt") << "one\ntwo\n";
  std::vector<std::string> command = {WAN_PROGRAM,      "generate", "--ckpt_dir",  kGolden + "Wan2.2-T2V-A14B",
                                      "--prompt_file",  "p.txt",    "--save_file", "f/",
                                      "--size",         "64*64",    "--frame_num", "5",
                                      "--sample_steps", "1",        "--base_seed", "1"};
  const Outcome o = start(command);
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_EQ(o.out, "f_0001/\nf_0002/\n");
  EXPECT_THAT(folder.names(), ElementsAre("f_0001", "f_0002", "p.txt"));
  EXPECT_EQ(start({WAN_PROGRAM, "show", "f_0002"}).status, 0);
}

TEST_F(GoldenProgram, BenchTimesEveryPartOfACheckpointsDimensions) {
  const std::vector<std::string> command = {
      WAN_PROGRAM, "bench", "--task",   "i2v-A14B", "--ckpt_dir", kGolden + "Wan2.2-I2V-A14B",
      "--size",    "64*64", "--frames", "5",        "--device",   "cpu",
      "--dtype",   "bf16",  "--runs",   "2",        "--threads",  "2",
      "--json"};
  const Outcome o = start(command);
  ASSERT_EQ(o.status, 0) << o.err;
  const json report = json::parse(o.out);
  EXPECT_EQ(report.at("task"), "i2v-A14B");
  EXPECT_EQ(report.at("size"), "64*64");
  EXPECT_EQ(report.at("frames"), 5);
  EXPECT_EQ(report.at("device"), "CPU");
  EXPECT_EQ(report.at("dtype"), "bf16");
  EXPECT_TRUE(report.at("rates").is_null());
  std::vector<std::string> names;
  for (const json& part : report.at("parts")) {
    names.push_back(part.at("part"));
    EXPECT_EQ(part.at("seconds").size(), 2u);
    EXPECT_GT(part.at("median_seconds").get<double>(), 0);
    EXPECT_GT(part.at("tflop").get<double>(), 0);
    EXPECT_GT(part.at("weight_bytes").get<double>(), 0);
    EXPECT_GT(part.at("peak_bytes").get<double>(), part.at("weight_bytes").get<double>());
    EXPECT_TRUE(part.at("finite").get<bool>());
    EXPECT_TRUE(part.at("share_of_floor").is_null());  // no CPU's rates are known
    double tflop = 0;
    for (const json& family : part.at("families")) tflop += family.at("tflop").get<double>();
    EXPECT_NEAR(tflop, part.at("tflop").get<double>(), 1e-9);
  }
  EXPECT_THAT(names, ElementsAre("dit", "vae_encode", "vae_decode", "t5"));
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST_F(GoldenProgram, BenchWithFewerLayersExtrapolatesAndSaysSo) {
  const auto dit = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {WAN_PROGRAM, "bench", "--ckpt_dir", kGolden + "Wan2.2-T2V-A14B",
                                    "--size",    "96*64", "--frames",   "5",
                                    "--device",  "cpu",   "--what",     "dit",
                                    "--runs",    "1",     "--threads",  "2"};
    all.insert(all.end(), more.begin(), more.end());
    return start(all);
  };
  const json whole = json::parse(dit({"--json"}).out).at("parts").at(0);
  const json part = json::parse(dit({"--json", "--layers", "1"}).out).at("parts").at(0);
  EXPECT_EQ(whole.at("extrapolated"), false);
  EXPECT_EQ(part.at("extrapolated"), true);
  EXPECT_EQ(part.at("layers_run"), 1);
  EXPECT_NEAR(part.at("tflop").get<double>() / whole.at("tflop").get<double>(), 1, 1e-6);
  EXPECT_EQ(part.at("weight_bytes"), whole.at("weight_bytes"));
  EXPECT_THAT(dit({"--layers", "1"}).out, HasSubstr("extrapolated from 1 of 2 layers"));
}

TEST_F(GoldenProgram, BenchTimesTheVaeInBands) {
  const Outcome o =
      start({WAN_PROGRAM, "bench", "--ckpt_dir", kGolden + "Wan2.2-T2V-A14B", "--size", "96*64", "--frames", "9",
             "--what", "vae", "--vae_bands", "3", "--runs", "1", "--threads", "2", "--json"});
  ASSERT_EQ(o.status, 0) << o.err;
  const json part = json::parse(o.out).at("parts").at(0);
  EXPECT_THAT(part.at("what").get<std::string>(), HasSubstr("in 3 bands"));
  EXPECT_TRUE(part.at("finite").get<bool>());
  EXPECT_EQ(start({WAN_PROGRAM, "bench", "--what", "vae", "--vae_bands", "91"}).status, 2);
}

TEST_F(GoldenProgram, BenchRefusesWhatNoModelCanHave) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--size", "97*64"}, "96 and 112"},     {{"--frames", "82"}, "81 and 85"},
      {{"--layers", "41"}, "1 to 40"},         {{"--layers", "0"}, "1 or more"},
      {{"--runs", "0"}, "1 or more"},          {{"--what", "audio"}, "dit, vae, t5, load or all"},
      {{"--task", "s2v-14B"}, "t2v-A14B"},     {{"--device", "tpu"}, "auto, cpu or cuda"},
      {{"--run", "2"}, "did you mean --runs?"}};
  for (const auto& [arguments, says] : cases) {
    std::vector<std::string> all = {WAN_PROGRAM, "bench"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Outcome o = start(all);
    EXPECT_EQ(o.status, 2) << o.err;
    EXPECT_EQ(o.out, "");
    EXPECT_THAT(o.err, AllOf(StartsWith("wan: error: "), HasSubstr(says)));
  }
}

TEST_F(GoldenProgram, WhatCannotFitIsRefusedWithChangesThatMakeItFit) {
  const Outcome o = start(t2v({"--size", "16384*16384", "--frame_num", "81", "--save_file", "o.mp4"}));
  EXPECT_EQ(o.status, 1);
  EXPECT_EQ(o.out, "");
  EXPECT_THAT(o.err, AllOf(HasSubstr("[memory] 16384x16384 with 81 frames"), HasSubstr("the host's memory"),
                           HasSubstr("--size ")));
  EXPECT_THAT(folder.names(), IsEmpty());
}

TEST_F(GoldenProgram, PlansAreCompleteJson) {
  const std::vector<std::vector<std::string>> commands = {
      {"--gpu", "A40:2", "--vram", "46GB", "--ram", "64GB", "--link", "pcie4"},
      {"--gpu", "RTX3090", "--vram", "1GB"},
      {"--gpu", "B200:8", "--task", "i2v-A14B", "--link", "nvlink"},
      {"--task", "ti2v-5B", "--image", "--gpu", "RTX4090", "--vram", "6GB"},
      {"--device", "cpu", "--size", "64*64", "--frame_num", "1"},
      {"--device", "cpu", "--ckpt_dir", kGolden + "Wan2.2-I2V-A14B", "--size", "96*64", "--frame_num", "9"}};
  for (const auto& more : commands) {
    std::vector<std::string> all = {WAN_PROGRAM, "plan", "--json"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome o = start(all);
    ASSERT_EQ(o.status, 0) << o.err;
    const json plan = json::parse(o.out);
    for (const char* key : {"task", "device", "vram_bytes", "ram_bytes", "why", "notes", "tokens", "file_bytes"})
      EXPECT_TRUE(plan.contains(key)) << key;
    for (const json& s : plan.at("strategies")) {
      double seconds = 0;
      int64_t gpu = 0, host = 0;
      for (const json& stage : s.at("stages")) {
        seconds += stage.at("seconds").get<double>();
        gpu = std::max(gpu, stage.at("gpu_bytes").get<int64_t>());
        host = std::max(host, stage.at("host_bytes").get<int64_t>());
      }
      EXPECT_NEAR(seconds, s.at("total_seconds").get<double>(), 1e-6 * seconds);
      EXPECT_EQ(gpu, s.at("gpu_peak_bytes").get<int64_t>()) << s.at("name");
      EXPECT_EQ(host, s.at("host_peak_bytes").get<int64_t>()) << s.at("name");
    }
    const int chosen = plan.at("chosen");
    for (const json& change : plan.at("changes")) {
      EXPECT_GT(change.at("total_seconds").get<double>(), 0) << change;
    }
    if (chosen >= 0) {
      EXPECT_TRUE(plan.at("strategies").at(static_cast<size_t>(chosen)).at("fits").get<bool>());
    }
    all.erase(all.begin() + 2);  // the tables
    const Outcome tables = start(all);
    EXPECT_EQ(tables.status, 0);
    for (const std::string& line : tables.lines()) {
      EXPECT_TRUE(line.size() <= 100 || line.find(kGolden) != std::string::npos) << line;
    }
  }
}

TEST_F(GoldenProgram, ADryRunTellsTheSameAsThePlanOfTheCheckpoint) {
  const Outcome dry = start(t2v({"--size", "96*64", "--dry_run", "--json"}));
  ASSERT_EQ(dry.status, 0) << dry.err;
  const Outcome plan = start({WAN_PROGRAM, "plan", "--ckpt_dir", kGolden + "Wan2.2-T2V-A14B", "--size", "96*64",
                              "--frame_num", "9", "--threads", "2", "--json"});
  EXPECT_EQ(json::parse(dry.out).at("strategies"), json::parse(plan.out).at("strategies"));
  EXPECT_THAT(folder.names(), IsEmpty());
}

}  // namespace
}  // namespace wan::e2e
