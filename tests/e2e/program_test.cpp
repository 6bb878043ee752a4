// The program without the models: flags, results, exit status. See stand_in_engine.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "process.h"

namespace wan::e2e {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

class Program : public testing::Test {
 protected:
  Outcome wan(std::vector<std::string> arguments, const Process::Environment& environment = {},
              const Terminal* terminal = nullptr) {
    arguments.insert(arguments.begin(), WAN_STAND_IN);
    return run(arguments, environment, terminal, folder.path());
  }

  // `wan generate` with what every call needs, and these.
  Outcome generate(const std::vector<std::string>& more) {
    std::vector<std::string> all = {"generate", "--ckpt_dir", ".", "--save_file", "out.mp4"};
    all.insert(all.end(), more.begin(), more.end());
    return wan(all);
  }

  json request_of(const std::string& name) {
    std::ifstream in(folder / name);
    return json::parse(in).at("request");
  }

  TemporaryFolder folder;
};

TEST_F(Program, VersionAndHelp) {
  const Outcome version = wan({"--version"});
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.out, "wan 0.0.test\n");
  const Outcome help = wan({"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("generate"), HasSubstr("show"), HasSubstr("bench"), HasSubstr("plan"),
                              HasSubstr("download")));
  const Outcome generate_help = wan({"generate", "--help"});
  EXPECT_EQ(generate_help.status, 0);
  EXPECT_THAT(generate_help.out,
              AllOf(HasSubstr("Usage: wan generate"), HasSubstr("Examples:"), HasSubstr("--sample_guide_scale"),
                    HasSubstr("--prompt_file"), Not(HasSubstr("tts_text"))));
  EXPECT_EQ(generate_help.err, "");
}

TEST_F(Program, UpstreamsCommandLineWorks) {
  const Outcome o = generate({"--task",
                              "t2v-A14B",
                              "--size",
                              "832*480",
                              "--frame_num",
                              "17",
                              "--prompt",
                              "two cats",
                              "--sample_solver",
                              "dpm++",
                              "--sample_steps",
                              "4",
                              "--sample_shift",
                              "5.0",
                              "--sample_guide_scale",
                              "4.5",
                              "--base_seed",
                              "42",
                              "--offload_model",
                              "True",
                              "--convert_model_dtype",
                              "--t5_cpu",
                              "--ulysses_size",
                              "8",
                              "--dit_fsdp",
                              "--t5_fsdp"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_EQ(o.out, "out.mp4\n");
  const json r = request_of("out.mp4");
  EXPECT_EQ(r["task"], "t2v-A14B");
  EXPECT_EQ(r["size"], "832*480");
  EXPECT_EQ(r["frame_num"], 17);
  EXPECT_EQ(r["prompt"], "two cats");
  EXPECT_EQ(r["sample_solver"], "dpm++");
  EXPECT_EQ(r["sample_steps"], 4);
  EXPECT_EQ(r["sample_shift"], 5.0);
  EXPECT_EQ(r["sample_guide_scale"], json({4.5, 4.5}));
  EXPECT_EQ(r["base_seed"], 42);
  EXPECT_EQ(r["offload_model"], true);
  EXPECT_EQ(r["convert_model_dtype"], true);
  EXPECT_EQ(r["t5_cpu"], true);
  EXPECT_THAT(o.err, AllOf(HasSubstr("--ulysses_size has no effect"), HasSubstr("--dit_fsdp"), HasSubstr("--t5_fsdp")));
}

TEST_F(Program, OwnFlagsReachTheRequest) {
  const Outcome o = generate({"--prompt=-starts with a dash",
                              "--negative_prompt",
                              "",
                              "--size",
                              "64x32",
                              "--sample_guide_scale",
                              "3,4.25",
                              "--sample_steps",
                              "040",
                              "--rng",
                              "cpu",
                              "--dtype",
                              "bf16",
                              "--device",
                              "cpu",
                              "--threads",
                              "2",
                              "--noise",
                              "n.safetensors",
                              "--save_latents",
                              "l.safetensors",
                              "--dump",
                              "d.safetensors",
                              "--base_seed",
                              "9223372036854775807"});
  ASSERT_EQ(o.status, 0) << o.err;
  const json r = request_of("out.mp4");
  EXPECT_EQ(r["prompt"], "-starts with a dash");
  EXPECT_EQ(r["negative_prompt"], "");
  EXPECT_EQ(r["size"], "64*32");
  EXPECT_EQ(r["sample_guide_scale"], json({3.0, 4.25}));
  EXPECT_EQ(r["sample_steps"], 40);
  EXPECT_EQ(r["rng"], "cpu");
  EXPECT_EQ(r["dtype"], "bf16");
  EXPECT_EQ(r["device"], "cpu");
  EXPECT_EQ(r["threads"], 2);
  EXPECT_EQ(r["noise"], "n.safetensors");
  EXPECT_EQ(r["save_latents"], "l.safetensors");
  EXPECT_EQ(r["dump"], "d.safetensors");
  EXPECT_EQ(r["base_seed"], 9223372036854775807);
}

TEST_F(Program, TheLastOfARepeatedFlagCounts) {
  ASSERT_EQ(generate({"--prompt", "a", "--prompt", "b", "--sample_steps", "2", "--sample_steps", "3"}).status, 0);
  EXPECT_EQ(request_of("out.mp4")["prompt"], "b");
  EXPECT_EQ(request_of("out.mp4")["sample_steps"], 3);
}

TEST_F(Program, LatentsNeedNoPrompt) {
  ASSERT_EQ(generate({"--latents", "l.safetensors"}).status, 0);
  EXPECT_EQ(request_of("out.mp4")["latents"], "l.safetensors");
}

TEST_F(Program, ADrawnSeedIsNamed) {
  const Outcome o = generate({"--prompt", "a", "--base_seed", "-1"});
  ASSERT_EQ(o.status, 0);
  EXPECT_THAT(o.err, HasSubstr("seed 4711"));
}

struct Wrong {
  std::vector<std::string> arguments;
  const char* says;
};

class WrongArguments : public Program, public testing::WithParamInterface<Wrong> {};

TEST_P(WrongArguments, AreRefusedWithStatus2AndNothingWritten) {
  std::vector<std::string> all = {"generate", "--ckpt_dir", ".", "--save_file", "out.mp4", "--prompt", "x"};
  all.insert(all.end(), GetParam().arguments.begin(), GetParam().arguments.end());
  const Outcome o = wan(all);
  EXPECT_EQ(o.status, 2) << o.err;
  EXPECT_EQ(o.out, "");
  EXPECT_THAT(o.err, AllOf(StartsWith("wan: error: "), HasSubstr(GetParam().says)));
  EXPECT_THAT(folder.names(), ElementsAre());
}

INSTANTIATE_TEST_SUITE_P(
    Table, WrongArguments,
    testing::Values(
        Wrong{{"--size", "1280"}, "width*height"}, Wrong{{"--size", "x"}, "width*height"},
        Wrong{{"--size", "1280*"}, "width*height"}, Wrong{{"--size", "1280*720*3"}, "width*height"},
        Wrong{{"--size", "99999999999*720"}, "width*height"}, Wrong{{"--size", ""}, "width*height"},
        Wrong{{"--frame_num", "81.5"}, "integer"}, Wrong{{"--frame_num", "99999999999"}, "integer"},
        Wrong{{"--frame_num", "abc"}, "integer"}, Wrong{{"--sample_steps", "0"}, "1..1000"},
        Wrong{{"--sample_steps", "-3"}, "1..1000"}, Wrong{{"--sample_steps", "1001"}, "1..1000"},
        Wrong{{"--sample_steps", "4 "}, "integer"}, Wrong{{"--sample_steps", ""}, "integer"},
        Wrong{{"--sample_steps", "0x10"}, "integer"}, Wrong{{"--sample_guide_scale", "nan"}, "finite"},
        Wrong{{"--sample_guide_scale", "inf"}, "finite"}, Wrong{{"--sample_guide_scale", "1,nan"}, "finite"},
        Wrong{{"--sample_guide_scale", "1,2,3"}, "finite"}, Wrong{{"--sample_shift", "nan"}, "finite"},
        Wrong{{"--sample_shift", "1e999"}, "finite"}, Wrong{{"--fps", "-inf"}, "finite"},
        Wrong{{"--base_seed", "9223372036854775808"}, "9223372036854775807"}, Wrong{{"--base_seed", "1.0"}, "integer"},
        Wrong{{"--offload_model", "maybe"}, "true or false"}, Wrong{{"--threads", "-1"}, "--threads"},
        Wrong{{"--ulysses_size", "0"}, "1 or more"}, Wrong{{"--sample_solver", "ddim"}, "ddim"},
        Wrong{{"--rng", "tpu"}, "tpu"}, Wrong{{"--dtype", "fp4"}, "fp4"}, Wrong{{"--task", "t2v-1.3B"}, "t2v-1.3B"},
        Wrong{{"--task", "s2v-14B"}, "t2v-A14B, i2v-A14B and ti2v-5B"},
        Wrong{{"--task", "animate-14B"}, "t2v-A14B, i2v-A14B and ti2v-5B"},
        Wrong{{"--audio", "talk.wav"}, "--audio belongs to the task s2v-14B"}, Wrong{{"--enable_tts"}, "s2v-14B"},
        Wrong{{"--infer_frames", "80"}, "s2v-14B"}, Wrong{{"--src_root_path", "x"}, "animate-14B"},
        Wrong{{"--replace_flag"}, "animate-14B"},
        Wrong{{"--use_prompt_extend"}, "--use_prompt_extend is not available"},
        Wrong{{"--prompt_file", "p.txt"}, "one of them"}, Wrong{{"--image", ""}, "--image is empty"},
        Wrong{{"--save_file", ""}, "--save_file is empty"}, Wrong{{"--ckpt_dir", ""}, "--ckpt_dir is empty"},
        Wrong{{"--sample_step", "4"}, "did you mean --sample_steps?"},
        Wrong{{"--save-file", "x"}, "did you mean --save_file?"}, Wrong{{"--zzzzz"}, "unknown argument '--zzzzz'"},
        Wrong{{"stray"}, "unknown argument 'stray'"}, Wrong{{"--frame_num"}, "frame_num"}));

TEST_F(Program, WhatIsMissingIsNamed) {
  const Outcome none = wan({});
  EXPECT_EQ(none.status, 2);
  EXPECT_THAT(none.err, HasSubstr("expected generate, download, convert, plan, show or bench"));
  const Outcome task = wan({"generate", "--prompt", "x", "--task", "i2v-A14B"});
  EXPECT_EQ(task.status, 2);
  EXPECT_THAT(task.err, HasSubstr("--ckpt_dir is missing"));
  const Outcome no_prompt = wan({"generate", "--ckpt_dir", "."});
  EXPECT_EQ(no_prompt.status, 2);
  EXPECT_THAT(no_prompt.err, HasSubstr("--prompt is missing"));
  const Outcome no_file = wan({"show"});
  EXPECT_EQ(no_file.status, 2);
  EXPECT_THAT(no_file.err, HasSubstr("FILE"));
}

TEST_F(Program, WithoutACheckpointTheDemoModelServesAndSaysSo) {
  const Outcome o = wan({"generate", "--prompt", "x", "--save_file", "out.mp4"});
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.err, HasSubstr("using the demo model in " WAN_SOURCE_DIR "/models/demo-t2v"));
  const Outcome image = wan({"generate", "--prompt", "x", "--image", "x.png", "--save_file", "out.mp4"});
  EXPECT_THAT(image.err, HasSubstr("using the demo model in " WAN_SOURCE_DIR "/models/demo-ti2v"));
}

TEST_F(Program, FailuresEndWithStatus1) {
  const Outcome missing = wan({"generate", "--ckpt_dir", "nowhere", "--prompt", "x"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("wan: error: [checkpoint] nowhere is not a folder"));
  const Outcome failed = generate({"--prompt", "fail"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(failed.out, "");
  EXPECT_THAT(failed.err, HasSubstr("wan: error: [sample] NaN in the latents at step 3\n"));
  EXPECT_THAT(folder.names(), ElementsAre());
}

TEST_F(Program, ErrorsAndNotesCannotDriveTheTerminal) {
  EXPECT_THAT(generate({"--prompt", "note"}).err, AllOf(HasSubstr("\\x1b[31m"), Not(HasSubstr("\x1b"))));
  const Outcome o = wan({"generate", "--prompt", "x", "--ckpt_dir", "a\x1b]0;t\x07\xc2\x9b"});
  EXPECT_THAT(o.err, AllOf(HasSubstr("a\\x1b]0;t\\x07\\u009b"), Not(HasSubstr("\x1b")), Not(HasSubstr("\xc2\x9b"))));
}

TEST_F(Program, ANameIsMadeWhenNoneIsGiven) {
  const Outcome o =
      wan({"generate", "--ckpt_dir", ".", "--prompt", "Two cats/dogs; $(x) ein Bär 赤い \n" + std::string(99, 'y')});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.last_line(),
              MatchesRegex("t2v-A14B_1280x720_Two_cats_dogs____x__ein_Bär_赤い__y+_[0-9]+_[0-9]+\\.mp4"));
  EXPECT_THAT(folder.names(), ElementsAre(o.last_line()));
}

TEST_F(Program, APromptFileGivesAVideoPerLine) {
  std::ofstream(folder / "p.txt") << "\xef\xbb\xbf"
                                  << "first\r\n\n  \nsecond line\nthird";
  const Outcome o =
      wan({"generate", "--ckpt_dir", ".", "--prompt_file", "p.txt", "--save_file", "clip.mp4", "--base_seed", "5"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_EQ(o.out, "clip_0001.mp4\nclip_0002.mp4\nclip_0003.mp4\n");
  EXPECT_EQ(request_of("clip_0001.mp4")["prompt"], "first");
  EXPECT_EQ(request_of("clip_0002.mp4")["prompt"], "second line");
  EXPECT_EQ(request_of("clip_0003.mp4")["base_seed"], 5);
  EXPECT_THAT(o.err, HasSubstr("video 3 of 3"));
}

TEST_F(Program, FoldersOfFramesAreNumberedAsFolders) {
  std::ofstream(folder / "p.txt") << "first\nfail\n";
  const Outcome o =
      wan({"generate", "--ckpt_dir", ".", "--prompt_file", "p.txt", "--save_file", "a/frames/", "--quiet"});
  EXPECT_THAT(o.err, HasSubstr("a/frames_0001/"));  // the stand-in makes no folders
}

TEST_F(Program, BadPromptFilesAreRefused) {
  const auto with = [&](const std::string& name) {
    return wan({"generate", "--ckpt_dir", ".", "--save_file", "clip.mp4", "--prompt_file", name});
  };
  std::ofstream(folder / "empty.txt") << "\n \n";
  EXPECT_EQ(with("empty.txt").status, 2);
  EXPECT_EQ(with("missing.txt").status, 1);
  EXPECT_EQ(with(".").status, 1);
  std::ofstream(folder / "big.txt") << std::string((16 << 20) + 1, 'x');
  EXPECT_THAT(with("big.txt").err, HasSubstr("16 MB"));
}

TEST_F(Program, JsonLinesTellEverythingAndThePathComesLast) {
  const Outcome o = generate({"--prompt", "caf\xc3\xa9 \xff", "--sample_steps", "3", "--json"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_EQ(o.err, "");
  auto lines = o.lines();
  EXPECT_EQ(lines.back(), "out.mp4");
  lines.pop_back();
  std::vector<std::string> steps;
  for (const std::string& line : lines) {
    const json event = json::parse(line);
    if (event["event"] == "progress" && event["stage"] == "sample")
      steps.push_back(event["expert"].get<std::string>() + " " + event["done"].dump() + "/" + event["total"].dump());
  }
  EXPECT_THAT(steps, ElementsAre("high 0/3", "high 1/3", "low 2/3", "low 3/3"));
  EXPECT_EQ(json::parse(lines.front())["event"], "start");
  EXPECT_EQ(json::parse(lines.front())["base_seed"], 4711);
  EXPECT_EQ(json::parse(lines.back())["event"], "result");
  EXPECT_EQ(json::parse(lines.back())["path"], "out.mp4");

  const Outcome failed = generate({"--prompt", "fail", "--json"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_EQ(json::parse(failed.last_line())["code"], "device");
  EXPECT_THAT(failed.err, StartsWith("wan: error: "));
}

TEST_F(Program, ALogHasPlainLines) {
  const Outcome o = generate({"--prompt", "x", "--sample_steps", "4"});
  EXPECT_THAT(o.err,
              AllOf(HasSubstr("sample 3/4"), HasSubstr("s/step"), HasSubstr("left"), HasSubstr("(high noise)"),
                    HasSubstr("(low noise)"), HasSubstr("decode 21/21"), Not(HasSubstr("\r")), Not(HasSubstr("\x1b"))));
  EXPECT_EQ(generate({"--prompt", "x", "--quiet"}).err, "");
}

TEST_F(Program, ShowPrintsTheRequestAndACommandThatWorks) {
  ASSERT_EQ(generate({"--prompt", "it's \"so\" $HOME", "--sample_guide_scale", "3,4", "--convert_model_dtype"}).status,
            0);
  const Outcome o = wan({"show", "out.mp4"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("sample_steps         40\n"));
  const std::string command = o.last_line();
  ASSERT_THAT(command, StartsWith("wan generate "));
  std::string shell = std::string(WAN_STAND_IN) + command.substr(3);
  shell.replace(shell.find("CHECKPOINT_FOLDER"), 17, ".");
  const Outcome again = run({"/bin/sh", "-c", shell}, {}, nullptr, folder.path());
  ASSERT_EQ(again.status, 0) << shell << again.err;
  EXPECT_EQ(again.last_line(), "out_again.mp4");
  EXPECT_EQ(request_of("out_again.mp4"), request_of("out.mp4"));
  EXPECT_EQ(json::parse(wan({"show", "--json", "out.mp4"}).out)["request"], request_of("out.mp4"));
}

TEST_F(Program, ShowRefusesFilesWithoutARequest) {
  std::ofstream(folder / "empty.mp4").flush();
  std::ofstream(folder / "damaged.mp4") << "{\"a\":";
  EXPECT_EQ(wan({"show", "empty.mp4"}).status, 1);
  EXPECT_EQ(wan({"show", "damaged.mp4"}).status, 1);
  EXPECT_EQ(wan({"show", "missing.mp4"}).status, 1);
  EXPECT_EQ(wan({"show", "a", "b"}).status, 2);
}

TEST_F(Program, BenchPrintsATableOrOneJsonObject) {
  const Outcome table = wan({"bench", "--size", "832*480", "--layers", "4"});
  ASSERT_EQ(table.status, 0) << table.err;
  EXPECT_EQ(table.err, "dit: made up\n");
  EXPECT_THAT(table.out,
              AllOf(HasSubstr("832*480"), HasSubstr("extrapolated from 4 of 40 layers"),
                    ContainsRegex("whole +2 +100 +50.0 +75.0 % +3.00 GB"),
                    ContainsRegex("linear +1.5 +100 +66.7 +83.3 %"), ContainsRegex("norms +0.5 +0 +- +50.0 %")));
  EXPECT_THAT(table.out, Not(HasSubstr("norm_modulate")));
  EXPECT_THAT(wan({"bench", "--ops"}).out, HasSubstr("4 x norm_modulate f32 9x8"));
  const Outcome object = wan({"bench", "--json"});
  const json part = json::parse(object.out).at("parts").at(0);
  EXPECT_EQ(part.at("tflop_per_second"), 50.0);
  EXPECT_EQ(part.at("share_of_floor"), 0.75);
  EXPECT_EQ(part.at("ops").at(0).at("op"), "norm_modulate f32 9x8");
  EXPECT_TRUE(part.at("families").at(1).at("tflop_per_second").is_null());
  EXPECT_THAT(wan({"bench", "--help"}).out, AllOf(HasSubstr("Usage: wan bench"), HasSubstr("--layers")));
}

TEST_F(Program, BenchOfLoadingPrintsRatesAndStartUp) {
  const Outcome table = wan({"bench", "--what", "load", "--ckpt_dir", "."});
  ASSERT_EQ(table.status, 0) << table.err;
  EXPECT_THAT(table.out, AllOf(ContainsRegex("load: files to device +4 +0.5 +8\n"),
                               ContainsRegex("copy from pinned memory to device +2 +0.1 +20\n"),
                               HasSubstr("slower of read and copy: 1.25"), HasSubstr("start-up: 0.500 s")));
  const json object = json::parse(wan({"bench", "--what", "load", "--ckpt_dir", ".", "--json"}).out);
  EXPECT_EQ(object.at("load_gb_per_second"), 8.0);
  EXPECT_EQ(object.at("ratio_to_slower"), 1.25);
  EXPECT_EQ(object.at("start_up_seconds"), 0.5);
  const Outcome nowhere = wan({"bench", "--what", "load"});
  EXPECT_EQ(nowhere.status, 2);
  EXPECT_THAT(nowhere.err, HasSubstr("--ckpt_dir is missing"));
}

TEST_F(Program, PlanPrintsTablesOrOneJsonObject) {
  const Outcome table = wan({"plan", "--gpu", "A40:2", "--vram", "46GB", "--ram", "64GiB", "--link", "pcie4"});
  ASSERT_EQ(table.status, 0) << table.err;
  EXPECT_EQ(table.err, "");
  EXPECT_THAT(
      table.out,
      AllOf(HasSubstr("t2v-A14B, 1280x720, 81 frames, 40 steps with guidance"), HasSubstr("2 x A40, 46.0 GB each"),
            HasSubstr("host 68.7 GB"), HasSubstr("estimates"), ContainsRegex("  resident .* no fit\n"),
            ContainsRegex("> streamed +45.1 GB +6.4 GB +28.0 GB +2m10s +1h27m\n"),
            ContainsRegex("on all of them, with --gpus N.*\n  guidance-parallel"),
            ContainsRegex("sample +45.1 GB +28.0 GB +1h26m\n"),
            ContainsRegex("832x480 +4.0 GB +3.0 GB +30.0 s +20m00s\n +--size 832"), HasSubstr("a note\n")));
  for (const std::string& line : table.lines()) EXPECT_LE(line.size(), 100u) << line;

  const json object = json::parse(wan({"plan", "--gpu", "A40", "--vram", "1500MB", "--json"}).out);
  EXPECT_EQ(object.at("vram_bytes"), 1'500'000'000);
  EXPECT_EQ(object.at("gpus"), 1);
  EXPECT_EQ(object.at("chosen"), 1);
  const json strategy = object.at("strategies").at(1);
  EXPECT_EQ(strategy.at("gpu_peak_bytes"), 45'100'000'000);
  EXPECT_EQ(strategy.at("stages").at(1).at("stage"), "sample");
  EXPECT_EQ(object.at("changes").at(0).at("flags"), "--size 832*480");
}

TEST_F(Program, PlanRefusesWhatItCannotRead) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--vram", "12"}, ""},
      {{"--vram", "12GX"}, "such as 12GB, 11.5GiB, 500MB"},
      {{"--vram", "GB"}, "such as 12GB"},
      {{"--vram", "-3GB"}, "such as 12GB"},
      {{"--ram", "0"}, "such as 12GB"},
      {{"--ram", "1e30TB"}, "such as 12GB"},
      {{"--gpu", "A40:0"}, "1 to 64 GPUs"},
      {{"--gpu", "A40:two"}, "expected an integer"},
      {{"--gpu", ":2"}, "such as A40 or A40:2"},
      {{"--gpu", ""}, "is empty"},
      {{"--gpus", "2"}, "did you mean --gpu?"},
      {{"--task", "s2v-14B"}, "s2v-14B"}};
  for (const auto& [arguments, says] : cases) {
    std::vector<std::string> all = {"plan"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Outcome o = wan(all);
    EXPECT_EQ(o.status, *says == 0 ? 0 : 2) << o.err;
    EXPECT_THAT(o.err, HasSubstr(says));
  }
  EXPECT_THAT(wan({"plan", "--help"}).out,
              AllOf(HasSubstr("Usage: wan plan"), HasSubstr("Examples:"), HasSubstr("A40:2"), HasSubstr("RTX5090")));
}

TEST_F(Program, ADryRunPlansTheRequestAndMakesNothing) {
  const Outcome o = generate({"--prompt", "x", "--size", "64*32", "--sample_steps", "7", "--dry_run"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.out, AllOf(HasSubstr("64x32, 81 frames, 7 steps"), HasSubstr("It takes: streamed")));
  EXPECT_THAT(folder.names(), testing::IsEmpty());
  EXPECT_EQ(json::parse(generate({"--prompt", "x", "--dry_run", "--json"}).out).at("dimensions"), ".");
}

TEST_F(Program, DoctorPrintsATableOrJsonAndItsStatusIsForScripts) {
  const Outcome well = wan({"doctor"}), broken = wan({"doctor", "--folder", "broken"});
  EXPECT_EQ(well.status, 0) << well.err;
  EXPECT_EQ(well.out, "ok       CPU  2 threads\n");
  EXPECT_EQ(broken.status, 1);
  EXPECT_THAT(broken.out,
              HasSubstr("failure  disk  full\n               needed: 1 GB\n               mend:   make room\n"));
  const json all = json::parse(wan({"doctor", "--folder", "broken", "--json"}).out);
  EXPECT_EQ(
      all.at(1),
      json({{"subject", "disk"}, {"health", "failure"}, {"found", "full"}, {"needed", "1 GB"}, {"mend", "make room"}}));
  EXPECT_EQ(wan({"doctor", "--nonsense"}).status, 2);
}

TEST_F(Program, AClosedStdoutIsAnErrorNotADeath) {
  const Outcome o =
      run({"/bin/sh", "-c",
           std::string(WAN_STAND_IN) + " generate --ckpt_dir . --prompt x --save_file out.mp4 --quiet >&-"},
          {}, nullptr, folder.path());
  EXPECT_EQ(o.status, 1);
  EXPECT_THAT(o.err, AllOf(HasSubstr("stdout"), HasSubstr("out.mp4")));
  EXPECT_THAT(folder.names(), ElementsAre("out.mp4"));
}

}  // namespace
}  // namespace wan::e2e
