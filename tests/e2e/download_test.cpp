// `wan download` from outside: the real program against a local hub.
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

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class DownloadProgram : public testing::Test {
 protected:
  DownloadProgram() { environment = {{"HF_ENDPOINT", hub.url()}, {"HF_HOME", (folder / "home").string()}}; }

  static std::vector<std::string> command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), WAN_PROGRAM);
    return arguments;
  }
  Outcome wan(const std::vector<std::string>& arguments, const Terminal* terminal = nullptr) const {
    return run(command(arguments), environment, terminal, folder.path());
  }
  void expect_complete(const fs::path& model) const {
    for (const char* path :
         {"Wan2.1_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth", "google/umt5-xxl/spiece.model",
          "low_noise_model/config.json", "high_noise_model/diffusion_pytorch_model-00001-of-00002.safetensors",
          "low_noise_model/diffusion_pytorch_model-00002-of-00002.safetensors"})
      EXPECT_TRUE(read(model / path) == hub.file(path).content) << path;
  }
  fs::path snapshot(const std::string& cache = "home/hub") const {
    return folder / cache / "models--Org--Name/snapshots" / hub.commit();
  }

  TemporaryFolder folder;
  test::HubServer hub{"Org/Name", test::checkpoint_files(60'000)};
  Process::Environment environment;
};

TEST_F(DownloadProgram, PrintsTheFolderLast) {
  const Outcome o = wan({"download", "Org/Name"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_EQ(o.last_line(), snapshot());
  expect_complete(snapshot());
  EXPECT_THAT(o.err, AllOf(HasSubstr("Org/Name at 0123456789ab: 10 files"), HasSubstr("Wan2.1_VAE.pth: complete"),
                           HasSubstr("fetched and verified")));
  EXPECT_THAT(wan({"download", "Org/Name"}).err, HasSubstr("all 10 files were there"));
}

TEST_F(DownloadProgram, IntoAFolder) {
  for (const char* flag : {"--local_dir", "--local-dir"}) {
    const Outcome o = wan({"download", "Org/Name", flag, "model", "--quiet"});
    ASSERT_EQ(o.status, 0) << o.err;
    EXPECT_EQ(o.out, "model\n");
    EXPECT_EQ(o.err, "");
    expect_complete(folder / "model");
  }
}

TEST_F(DownloadProgram, JsonEvents) {
  const Outcome o = wan({"download", "Org/Name", "--json"});
  ASSERT_EQ(o.status, 0) << o.err;
  std::map<std::string, json> last;
  int files = 0;
  for (const std::string& line : o.lines()) {
    if (!line.starts_with("{")) continue;
    const json event = json::parse(line);
    last[event["event"]] = event;
    files += event["event"] == "file" ? 1 : 0;
  }
  EXPECT_EQ(last["plan"]["commit"], hub.commit());
  EXPECT_EQ(last["plan"]["files"], 10);
  EXPECT_EQ(last["progress"]["done_bytes"], last["plan"]["total_bytes"]);
  EXPECT_EQ(last["progress"]["verified_bytes"], last["plan"]["total_bytes"]);
  EXPECT_EQ(last["result"]["path"], snapshot().string());
  EXPECT_EQ(files, 10);
}

TEST_F(DownloadProgram, ABarOnATerminal) {
  hub.alter = [](const HttpQuery&, bool cdn, HttpReply& reply) {
    if (cdn) reply.bytes_per_second = 30'000;
  };
  const Terminal terminal{100};
  const Outcome o = wan({"download", "Org/Name"}, &terminal);
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_THAT(o.err, AllOf(HasSubstr("\r\x1b[K["), HasSubstr("#"), HasSubstr("kB/s"), HasSubstr(" left"),
                           HasSubstr("10/10 files"), HasSubstr("fetched and verified")));
}

TEST_F(DownloadProgram, EnvironmentVariablesAreObeyed) {
  hub.token = "from-file";
  std::ofstream(folder / "my-token") << "from-file\n";
  environment = {{"HF_ENDPOINT", hub.url() + "/"},
                 {"HF_TOKEN_PATH", (folder / "my-token").string()},
                 {"XDG_CACHE_HOME", (folder / "xdg").string()}};
  ASSERT_EQ(wan({"download", "Org/Name"}).status, 0);
  expect_complete(snapshot("xdg/huggingface/hub"));

  environment = {{"HF_ENDPOINT", hub.url()},
                 {"HF_TOKEN", "from-file"},
                 {"HF_HOME", "/nowhere"},
                 {"HF_HUB_CACHE", (folder / "cache").string()}};
  ASSERT_EQ(wan({"download", "Org/Name"}).status, 0);
  expect_complete(snapshot("cache"));

  const auto requests = hub.seen().size();
  environment["HF_HUB_OFFLINE"] = "1";
  EXPECT_EQ(wan({"download", "Org/Name"}).last_line(), snapshot("cache"));
  EXPECT_EQ(hub.seen().size(), requests);

  environment = {{"HF_ENDPOINT", hub.url()}, {"HF_TOKEN", "wrong"}, {"HF_HOME", (folder / "home").string()}};
  const Outcome refused = wan({"download", "Org/Name"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("does not exist, or is private"));
}

TEST_F(DownloadProgram, FromModelScope) {
  environment["MODELSCOPE_DOMAIN"] = hub.url();
  environment["HF_TOKEN"] = "secret";
  ASSERT_EQ(wan({"download", "Org/Name", "--source", "modelscope", "--local_dir", "model"}).status, 0);
  expect_complete(folder / "model");
  for (const auto& seen : hub.seen()) EXPECT_FALSE(seen.query.has("authorization"));
}

TEST_F(DownloadProgram, WrongArguments) {
  EXPECT_EQ(wan({"download"}).status, 2);
  EXPECT_THAT(wan({"download", "t2v"}).err, HasSubstr("expected t2v-A14B"));
  EXPECT_EQ(wan({"download", "t2v"}).status, 2);
  EXPECT_EQ(wan({"download", "Org/Name", "--source", "x"}).status, 2);
  EXPECT_THAT(wan({"download", "Org/Name", "--al"}).err, HasSubstr("did you mean --all?"));
  EXPECT_THAT(wan({"download", "--help"}).out,
              AllOf(HasSubstr("Examples:"), HasSubstr("HF_HUB_CACHE"), HasSubstr("--connections")));
}

TEST_F(DownloadProgram, GenerateNamesTheCommandForAModelThatIsNotThere) {
  const Outcome o = wan({"generate", "--ckpt_dir", "t2v-A14B", "--prompt", "x"});
  EXPECT_EQ(o.status, 2);
  EXPECT_THAT(o.err, HasSubstr("fetch it with: wan download t2v-A14B"));
}

TEST_F(DownloadProgram, GenerateFindsADownloadedModelByName) {
  const fs::path tiny = WAN_SOURCE_DIR "/tests/golden/tiny/Wan2.2-TI2V-5B";
  std::map<std::string, test::HubServer::File> files;
  for (const auto& entry : fs::recursive_directory_iterator(tiny))
    if (entry.is_regular_file())
      files[entry.path().lexically_relative(tiny).string()] = {read(entry.path()), entry.file_size() > 10'000};
  const test::HubServer real("Wan-AI/Wan2.2-TI2V-5B", std::move(files));
  environment["HF_ENDPOINT"] = real.url();
  ASSERT_EQ(wan({"download", "ti2v-5B"}).status, 0);
  const Outcome o = wan({"generate", "--ckpt_dir", "ti2v-5B", "--prompt", "x", "--size", "64*32", "--frame_num", "5",
                         "--sample_steps", "2", "--threads", "1", "--device", "cpu", "--save_file", "clip.y4m"});
  ASSERT_EQ(o.status, 0) << o.err;
  EXPECT_GT(fs::file_size(folder / "clip.y4m"), 0u);
}

TEST_F(DownloadProgram, CtrlCKeepsWhatHasCome) {
  hub.alter = [](const HttpQuery&, bool cdn, HttpReply& reply) {
    if (cdn) reply.bytes_per_second = 50'000;
  };
  Process p(command({"download", "Org/Name"}), environment, nullptr, folder.path());
  ASSERT_TRUE(p.wait_for_stderr("10 files"));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  p.signal(SIGINT);
  const Outcome o = p.finish();
  EXPECT_EQ(o.status, 130) << o.err;
  EXPECT_THAT(o.err, AllOf(HasSubstr("what has come is kept"), HasSubstr("the same command goes on")));
  const auto before = hub.body_bytes();
  EXPECT_THAT(wan({"download", "Org/Name"}).err, HasSubstr("of it are there"));
  EXPECT_GT(before, 0);
  expect_complete(snapshot());
}

// kill -9 at 100 random moments: at the end every file has the right content, what came before a kill is used, and
// nothing is left behind.
TEST_F(DownloadProgram, KilledAHundredTimes) {
  hub.alter = [](const HttpQuery&, bool cdn, HttpReply& reply) {
    if (cdn) reply.bytes_per_second = 100'000;
  };
  std::mt19937 random(11);
  const auto model = command({"download", "Org/Name", "--json", "--connections", "4"});
  int killed = 0, resumed = 0, finished = 0;
  unsigned latest = 300;  // ms; later on a machine so busy that a run is killed before it has a plan
  while (killed < 100) {
    Process p(model, environment, nullptr, folder.path());
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % (latest - 20)));
    p.signal(SIGKILL);
    const Outcome o = p.finish();
    if (const auto lines = o.lines(); !lines.empty()) {
      const json plan = json::parse(lines.front(), nullptr, false);
      if (!plan.is_discarded() && plan.value("present_bytes", 0) > 0) ++resumed;
    } else if (latest < 3000) {
      latest += 20;
    }
    if (o.status == 128 + SIGKILL) {
      ++killed;
      continue;
    }
    ASSERT_EQ(o.status, 0) << o.err;
    ++finished;
    expect_complete(snapshot());
    fs::remove_all(folder / "home");
  }
  hub.alter = nullptr;
  ASSERT_EQ(wan({"download", "Org/Name"}).status, 0);
  expect_complete(snapshot());
  EXPECT_GT(resumed, 20);
  EXPECT_GT(finished, 0);
  for (const auto& entry : fs::directory_iterator(snapshot().parent_path().parent_path() / "blobs"))
    EXPECT_EQ(entry.path().filename().string().find('.'), std::string::npos) << "left behind: " << entry.path();
  RecordProperty("resumed", resumed);
  RecordProperty("finished", finished);
}

}  // namespace
}  // namespace wan::e2e
