// `wan convert`, and `wan download --bf16`, from outside: the same videos from every form of a checkpoint.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "process.h"
#include "support/hub_server.h"

namespace wan::e2e {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::HttpQuery;
using test::HttpReply;
using testing::AllOf;
using testing::HasSubstr;

const std::string kGolden = WAN_SOURCE_DIR "/tests/golden/tiny/";

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class ConvertProgram : public testing::Test {
 protected:
  static std::vector<std::string> command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), WAN_PROGRAM);
    return arguments;
  }
  Outcome wan(const std::vector<std::string>& arguments, const Process::Environment& environment = {}) const {
    return run(command(arguments), environment, nullptr, folder.path());
  }
  // The pixels that a checkpoint makes.
  std::string video(const std::string& checkpoint, const std::string& dtype) const {
    const Outcome o = wan({"generate", "--ckpt_dir",    checkpoint, "--prompt",       "a red ball", "--size",
                           "64*32",    "--frame_num",   "5",        "--sample_steps", "4",          "--base_seed",
                           "3",        "--threads",     "1",        "--device",       "cpu",        "--dtype",
                           dtype,      "--no_metadata", "--quiet",  "--save_file",    "clip.y4m"});
    EXPECT_EQ(o.status, 0) << o.err;
    return read(folder / "clip.y4m");
  }
  std::vector<std::string> left_over(const fs::path& in) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(in))
      if (entry.path().filename().string().find(".part.") != std::string::npos) names.push_back(entry.path());
    return names;
  }

  TemporaryFolder folder;
};

TEST_F(ConvertProgram, EveryFormMakesTheSameVideo) {
  for (const char* name : {"Wan2.2-T2V-A14B", "Wan2.2-TI2V-5B"}) {
    SCOPED_TRACE(name);
    const std::string official = kGolden + name, at = std::string(name) + "-";
    ASSERT_EQ(wan({"convert", official, at + "d", "--layout", "diffusers"}).last_line(), at + "d");
    ASSERT_EQ(wan({"convert", at + "d", at + "o", "--shard_size", "300kB"}).last_line(), at + "o");
    ASSERT_EQ(wan({"convert", official, at + "h", "--dtype", "bf16"}).last_line(), at + "h");
    const std::string original = video(official, "f32");
    EXPECT_FALSE(original.empty());
    EXPECT_EQ(video(at + "d", "f32"), original);
    EXPECT_EQ(video(at + "o", "f32"), original);
    const std::string rounded = video(official, "bf16");
    EXPECT_NE(rounded, original);
    EXPECT_EQ(video(at + "h", "bf16"), rounded);
  }
}

TEST_F(ConvertProgram, DemoModelThereAndBack) {
  const std::string demo = WAN_SOURCE_DIR "/models/demo-ti2v";
  ASSERT_EQ(wan({"convert", demo, "d", "--layout", "diffusers"}).status, 0);
  ASSERT_EQ(wan({"convert", "d", "o"}).status, 0);
  const std::string original = video(demo, "bf16");
  EXPECT_EQ(video("d", "bf16"), original);
  EXPECT_EQ(video("o", "bf16"), original);
}

TEST_F(ConvertProgram, TellsWhatItDoes) {
  const std::string source = kGolden + "Wan2.2-TI2V-5B";
  const Outcome o = wan({"convert", source, "out", "--layout", "diffusers"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.err, AllOf(HasSubstr("out: "), HasSubstr("vae/config.json: complete"), HasSubstr("written in")));
  EXPECT_THAT(wan({"convert", source, "out", "--layout", "diffusers"}).err, HasSubstr("of it are there"));
  EXPECT_THAT(wan({"convert", "--verify", "out"}).err, HasSubstr("as they were written"));
  const Outcome events = wan({"convert", source, "json", "--json"});
  std::map<std::string, json> last;
  for (const std::string& line : events.lines())
    if (line.starts_with("{")) last[json::parse(line)["event"]] = json::parse(line);
  EXPECT_EQ(last["progress"]["done_bytes"], last["progress"]["total_bytes"]);
  EXPECT_EQ(last["result"]["path"], "json");
  EXPECT_EQ(last["result"]["files"], last["plan"]["files"]);

  std::ofstream(folder / "out/vae/config.json", std::ios::app) << " ";
  const Outcome changed = wan({"convert", "--verify", "out"});
  EXPECT_EQ(changed.status, 1);
  EXPECT_THAT(changed.err, HasSubstr("vae/config.json has another size"));
}

TEST_F(ConvertProgram, WrongArguments) {
  const std::string source = kGolden + "Wan2.2-TI2V-5B";
  EXPECT_EQ(wan({"convert"}).status, 2);
  EXPECT_THAT(wan({"convert", source}).err, HasSubstr("expected two: SOURCE and OUTPUT"));
  EXPECT_THAT(wan({"convert", source, "o", "--verify"}).err, HasSubstr("expected one"));
  EXPECT_THAT(wan({"convert", source, "o", "--dtype", "f8"}).err, HasSubstr("expected keep or bf16"));
  EXPECT_THAT(wan({"convert", source, "o", "--layout", "x"}).err, HasSubstr("expected official or diffusers"));
  EXPECT_THAT(wan({"convert", source, "o", "--shard_size", "0"}).err, HasSubstr("500MB"));
  EXPECT_EQ(wan({"convert", source, source}).status, 2);
  EXPECT_EQ(wan({"convert", "nowhere", "o"}).status, 1);
  EXPECT_THAT(wan({"convert", "t2v-A14B", "o"}).err, HasSubstr("wan download t2v-A14B"));
  EXPECT_THAT(wan({"convert", "--help"}).out, AllOf(HasSubstr("Examples:"), HasSubstr("--shard_size")));
  EXPECT_FALSE(fs::exists(folder / "o"));
}

// kill -9 at random moments: the same command ends with the right files, and nothing else.
TEST_F(ConvertProgram, KilledAgainAndAgain) {
  const std::string source = WAN_SOURCE_DIR "/models/demo-t2v";
  const std::vector<std::string> convert = {"convert",   source,         "out",   "--layout",
                                            "diffusers", "--shard_size", "500kB", "--quiet"};
  std::mt19937 random(5);
  int killed = 0;
  for (int i = 0; i < 30; ++i) {
    Process p(command(convert), {}, nullptr, folder.path());
    std::this_thread::sleep_for(std::chrono::milliseconds(10 + random() % 150));
    p.signal(SIGKILL);
    if (p.finish().status == 128 + SIGKILL) ++killed;
    // What is there under a name is whole.
    if (fs::exists(folder / "out/model_index.json")) {
      EXPECT_EQ(wan({"convert", "--verify", "out"}).status, 0);
      fs::remove_all(folder / "out");
    }
  }
  EXPECT_GT(killed, 0);
  ASSERT_EQ(wan(convert).status, 0);
  EXPECT_EQ(wan({"convert", "--verify", "out"}).status, 0);
  EXPECT_THAT(left_over(folder / "out"), testing::IsEmpty());
  ASSERT_EQ(wan({"convert", source, "again", "--layout", "diffusers", "--shard_size", "500kB"}).status, 0);
  EXPECT_EQ(read(folder / "out/wan-convert.json"), read(folder / "again/wan-convert.json"));
}

/// A hub with a float32 model of two shards an expert.
class Bf16Download : public ConvertProgram {
 protected:
  Bf16Download() {
    EXPECT_EQ(wan({"convert", kGolden + "Wan2.2-T2V-A14B", "published", "--shard_size", "700kB"}).status, 0);
    EXPECT_EQ(
        wan({"convert", kGolden + "Wan2.2-T2V-A14B", "expected", "--shard_size", "700kB", "--dtype", "bf16"}).status,
        0);
    std::map<std::string, test::HubServer::File> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder / "published"))
      if (entry.is_regular_file())
        files[entry.path().lexically_relative(folder / "published").string()] = {read(entry.path()),
                                                                                 entry.file_size() > 10'000};
    hub = std::make_unique<test::HubServer>("Org/Name", std::move(files));
    environment = {{"HF_ENDPOINT", hub->url()}, {"HF_HOME", (folder / "home").string()}};
  }
  static std::vector<std::string> shards() {
    std::vector<std::string> all;
    for (const std::string expert : {"high_noise_model", "low_noise_model"})
      for (const char* part : {"00001-of-00002", "00002-of-00002"})
        all.push_back(expert + "/diffusion_pytorch_model-" + part + ".safetensors");
    return all;
  }
  json record(const std::string& path) const {
    return json::parse(read(folder / "model/.cache/huggingface/download" / (path + ".bf16.json")), nullptr, false);
  }
  // Every file is there, shards in bf16; the other files as the hub has them.
  void expect_complete() const {
    for (const std::string& path : shards()) {
      EXPECT_LT(fs::file_size(folder / "model" / path), hub->file(path).content.size()) << path;
      const json r = record(path);
      EXPECT_EQ(r["hub_hash"], hub->hash(path));
      EXPECT_EQ(r["hub_bytes"], hub->file(path).content.size());
      EXPECT_EQ(r["bytes"], fs::file_size(folder / "model" / path));
    }
    for (const char* path : {"Wan2.1_VAE.pth", "high_noise_model/config.json", "models_t5_umt5-xxl-enc-bf16.pth"})
      EXPECT_TRUE(read(folder / "model" / path) == hub->file(path).content) << path;
    EXPECT_THAT(left_over(folder / "model"), testing::IsEmpty());
  }
  const std::vector<std::string> download = {"download", "Org/Name", "--local_dir", "model", "--bf16"};

  std::unique_ptr<test::HubServer> hub;
  Process::Environment environment;
};

TEST_F(Bf16Download, ConvertsShardsAsTheyCome) {
  const Outcome o = wan(download, environment);
  ASSERT_EQ(o.status, 0) << o.err;
  expect_complete();
  EXPECT_EQ(video("model", "bf16"), video("expected", "bf16"));
  EXPECT_EQ(video("model", "bf16"), video(kGolden + "Wan2.2-T2V-A14B", "bf16"));

  const int64_t before = hub->body_bytes();
  EXPECT_THAT(wan(download, environment).err, HasSubstr("files were there"));
  EXPECT_EQ(hub->body_bytes(), before);
  // Without the flag nothing that was converted is thrown away.
  const Outcome plain = wan({"download", "Org/Name", "--local_dir", "model"}, environment);
  EXPECT_EQ(plain.status, 2);
  EXPECT_THAT(plain.err, HasSubstr("give --bf16 again"));

  // A shard that was changed is fetched and converted again.
  fs::resize_file(folder / "model" / shards()[1], 1000);
  ASSERT_EQ(wan(download, environment).status, 0);
  EXPECT_EQ(hub->body_bytes() - before, static_cast<int64_t>(hub->file(shards()[1]).content.size()));
  expect_complete();
}

TEST_F(Bf16Download, WhatWasDownloadedBeforeIsConvertedInPlace) {
  ASSERT_EQ(wan({"download", "Org/Name", "--local_dir", "model"}, environment).status, 0);
  const int64_t before = hub->body_bytes();
  ASSERT_EQ(wan(download, environment).status, 0);
  EXPECT_EQ(hub->body_bytes(), before);
  expect_complete();
}

TEST_F(Bf16Download, NeedsAFolder) {
  const Outcome o = wan({"download", "Org/Name", "--bf16"}, environment);
  EXPECT_EQ(o.status, 2);
  EXPECT_THAT(o.err, HasSubstr("give --local_dir"));
}

// Neither a failure between the last byte of a shard and its name, nor a kill just before the name, costs the bytes.
TEST_F(Bf16Download, WhatCameIsKeptUntilItIsConverted) {
  const std::string shard = shards()[0];
  const fs::path note = folder / "model/.cache/huggingface/download" / (shard + ".bf16.json");
  fs::create_directories(note);  // the record cannot be written
  const Outcome failed = wan(download, environment);
  EXPECT_EQ(failed.status, 1) << failed.err;
  EXPECT_FALSE(fs::exists(folder / "model" / shard));
  fs::remove(note);
  std::ofstream(note) << json(
      {{"hub_hash", hub->hash(shard)}, {"sha256", std::string(64, '0')}, {"bytes", 9}, {"time", 9e9}});

  const int64_t size = static_cast<int64_t>(hub->file(shard).content.size());
  const int64_t before = hub->body_bytes();
  int64_t rest = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder / "published"))
    if (entry.is_regular_file()) rest += static_cast<int64_t>(entry.file_size());
  ASSERT_EQ(wan(download, environment).status, 0);
  EXPECT_LE(hub->body_bytes() - before, rest - size) << "the shard was fetched twice";
  expect_complete();
}

// kill -9 at random moments, of which some are between the last byte of a shard and its conversion's end.
TEST_F(Bf16Download, KilledAgainAndAgain) {
  hub->alter = [](const HttpQuery&, bool cdn, HttpReply& reply) {
    if (cdn) reply.bytes_per_second = 3'000'000;
  };
  std::mt19937 random(12);
  int killed = 0, converted = 0;
  for (int i = 0; i < 40; ++i) {
    Process p(command(download), environment, nullptr, folder.path());
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 600));
    p.signal(SIGKILL);
    if (p.finish().status == 128 + SIGKILL) ++killed;
    for (const std::string& path : shards()) {
      if (!fs::exists(folder / "model" / path)) continue;
      ++converted;  // never visible but whole
      EXPECT_EQ(record(path)["bytes"], fs::file_size(folder / "model" / path)) << path;
    }
  }
  hub->alter = nullptr;
  ASSERT_EQ(wan(download, environment).status, 0);
  expect_complete();
  EXPECT_EQ(video("model", "bf16"), video("expected", "bf16"));
  EXPECT_GT(killed, 0);
  RecordProperty("killed", killed);
  RecordProperty("converted", converted);
}

}  // namespace
}  // namespace wan::e2e
