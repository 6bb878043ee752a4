// Whole downloads from a local hub that behaves: what is fetched, where it lies, what is fetched again.
#include <gmock/gmock.h>

#include <algorithm>

#include "hub/download_test_support.h"
#include "hub/transfer.h"
#include "support/expect_error.h"

namespace wan::hub {
namespace {

namespace fs = std::filesystem;

TEST_F(DownloadTest, FetchesWhatWanReadsIntoTheCache) {
  const DownloadResult result = fetch();
  EXPECT_EQ(result.repo, "Org/Name");
  EXPECT_EQ(result.commit, hub.commit());
  EXPECT_EQ(result.folder, repo_folder() / "snapshots" / hub.commit());
  EXPECT_EQ(result.files, static_cast<int64_t>(wanted().size()));
  expect_complete(result.folder);
  EXPECT_FALSE(fs::exists(result.folder / "README.md"));
  EXPECT_FALSE(fs::exists(result.folder / "assets"));
  EXPECT_EQ(read(repo_folder() / "refs" / "main"), hub.commit());
  EXPECT_TRUE(read(cache / "CACHEDIR.TAG").starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
  EXPECT_EQ(find_model("Org/Name", cache.path()), result.folder);
}

TEST_F(DownloadTest, LinksAreRelativeAndBlobsHaveTheirHashAsName) {
  const DownloadResult result = fetch();
  const std::string vae = "Wan2.1_VAE.pth", config = "high_noise_model/config.json";
  EXPECT_EQ(fs::read_symlink(result.folder / vae), fs::path("../../blobs") / hub.hash(vae));
  EXPECT_EQ(fs::read_symlink(result.folder / config), fs::path("../../../blobs") / hub.hash(config));
  EXPECT_EQ(hub.hash(vae).size(), 64u);
  EXPECT_EQ(hub.hash(config).size(), 40u);
  for (const auto& entry : fs::directory_iterator(repo_folder() / "blobs"))
    EXPECT_EQ(entry.path().filename().string().find('.'), std::string::npos) << "left behind: " << entry.path();
}

TEST_F(DownloadTest, AllFetchesTheRestToo) {
  options.all = true;
  const DownloadResult result = fetch();
  expect_complete(result.folder);
  EXPECT_EQ(read(result.folder / "assets/logo.png"), hub.file("assets/logo.png").content);
  EXPECT_EQ(read(result.folder / ".gitattributes"), hub.file(".gitattributes").content);
}

TEST_F(DownloadTest, PlainFilesWithTheirMetadata) {
  options.local_dir = local / "model";
  const DownloadResult result = fetch();
  EXPECT_EQ(result.folder, options.local_dir);
  expect_complete(result.folder);
  EXPECT_FALSE(fs::is_symlink(result.folder / "Wan2.1_VAE.pth"));
  std::ifstream in(result.folder / ".cache/huggingface/download/high_noise_model/config.json.metadata");
  std::string commit, etag;
  double time = 0;
  in >> commit >> etag >> time;
  EXPECT_EQ(commit, hub.commit());
  EXPECT_EQ(etag, hub.hash("high_noise_model/config.json"));
  EXPECT_GT(time, 1.6e9);
  EXPECT_EQ(read(result.folder / ".cache/huggingface/.gitignore"), "*");
  EXPECT_FALSE(fs::exists(repo_folder()));
}

TEST_F(DownloadTest, TheSecondTimeNoFileIsAskedFor) {
  fetch();
  const auto gets = hub.count("GET", true), heads = hub.count("HEAD", false);
  const DownloadResult again = fetch();
  EXPECT_EQ(again.fetched_bytes, 0);
  EXPECT_EQ(plan.present_bytes, plan.total_bytes);
  EXPECT_EQ(hub.count("GET", true), gets);
  EXPECT_EQ(hub.count("HEAD", false), heads);
}

TEST_F(DownloadTest, InAFolderChangedFilesAreFetchedAndUnknownOnesCompared) {
  options.local_dir = local.path();
  fetch();
  const fs::path config = local / "high_noise_model/config.json", vae = local / "Wan2.1_VAE.pth";
  std::ofstream(config) << std::string(hub.file("high_noise_model/config.json").content.size(), 'x');
  fs::last_write_time(config, fs::file_time_type::clock::now() + std::chrono::seconds(5));
  fs::remove(local / ".cache/huggingface/download/Wan2.1_VAE.pth.metadata");
  const auto gets = hub.count("GET", true);
  const DownloadResult again = fetch();
  expect_complete(local.path());
  EXPECT_EQ(again.fetched_bytes, static_cast<int64_t>(read(config).size()));
  EXPECT_EQ(hub.count("GET", true), gets) << "the VAE was there with the right hash";
  EXPECT_THAT(notes, testing::HasSubstr("Wan2.1_VAE.pth is there already; comparing its hash"));
}

TEST_F(DownloadTest, ThePlanComesBeforeTheFirstByte) {
  bool planned_first = false;
  hub.alter = [&](const test::HttpQuery& query, bool cdn, test::HttpReply&) {
    if (cdn && query.method == "GET" && plan.total_bytes > 0) planned_first = true;
  };
  fetch();
  EXPECT_TRUE(planned_first);
  int64_t total = 0;
  for (const std::string& path : wanted()) total += static_cast<int64_t>(hub.file(path).content.size());
  EXPECT_EQ(plan.total_bytes, total);
}

TEST_F(DownloadTest, ListsInPages) {
  hub.page_size = 3;
  expect_complete(fetch().folder);
}

TEST_F(DownloadTest, TheNextPageMustBeOfTheHub) {
  hub.page_size = 3;
  hub.alter = [](const test::HttpQuery&, bool, test::HttpReply& reply) {
    for (auto& [name, value] : reply.headers)
      if (name == "Link") value = "<http://evil.example/x>; rel=\"next\"";
  };
  test::expect_error(
      ErrorCode::comm, [&] { fetch(); }, "http://evil.example/x", "an address of the hub was expected");
}

TEST_F(DownloadTest, ARevisionIsPinned) {
  options.model = "Org/Name@refs/pr/1";
  const DownloadResult result = fetch();
  expect_complete(result.folder);
  EXPECT_EQ(read(repo_folder() / "refs/refs/pr/1"), hub.commit());
  EXPECT_EQ(find_model("Org/Name@refs/pr/1", cache.path()), result.folder);
  for (const auto& seen : hub.seen())
    if (seen.query.path.find("/resolve/") != std::string::npos) {
      EXPECT_NE(seen.query.path.find(hub.commit()), std::string::npos) << seen.query.path;
    }
}

TEST_F(DownloadTest, TheTokenGoesToTheHubAlone) {
  hub.token = "secret";
  fetch();
  size_t hub_requests = 0, cdn_requests = 0;
  for (const auto& seen : hub.seen()) {
    ++(seen.cdn ? cdn_requests : hub_requests);
    EXPECT_EQ(seen.query.header("authorization"), seen.cdn ? "" : "Bearer secret") << seen.query.target;
  }
  EXPECT_GT(hub_requests, 0u);
  EXPECT_GT(cdn_requests, 0u);
}

TEST_F(DownloadTest, FromModelScope) {
  options.source = ModelSource::modelscope;
  const DownloadResult result = fetch();
  expect_complete(result.folder);
  EXPECT_EQ(find_model("Org/Name", cache.path()), result.folder);
  for (const auto& seen : hub.seen())
    if (seen.cdn) {
      EXPECT_FALSE(seen.query.has("authorization"));
    }
  const auto gets = hub.count("GET", true);
  EXPECT_EQ(fetch().fetched_bytes, 0);
  EXPECT_EQ(hub.count("GET", true), gets);
}

TEST_F(DownloadTest, LargeFilesComeInPieces) {
  const int64_t size = Transfer::piece_bytes + 12345;
  auto files = test::checkpoint_files(1000);
  files["models_t5_umt5-xxl-enc-bf16.pth"] = {test::noise(static_cast<size_t>(size), 5), true};
  test::HubServer large("Org/Name", std::move(files));
  options.endpoint = large.url();
  const DownloadResult result = fetch();
  EXPECT_TRUE(read(result.folder / "models_t5_umt5-xxl-enc-bf16.pth") ==
              large.file("models_t5_umt5-xxl-enc-bf16.pth").content);
  std::vector<std::string> ranges;
  for (const auto& seen : large.seen())
    if (seen.cdn && seen.query.has("range")) ranges.push_back(seen.query.header("range"));
  std::sort(ranges.begin(), ranges.end());
  EXPECT_THAT(ranges, testing::ElementsAre("bytes=0-67108863", "bytes=67108864-67121208"));
}

TEST_F(DownloadTest, Offline) {
  options.offline = true;
  test::expect_error(
      ErrorCode::invalid_argument, [&] { fetch(); }, "[Org/Name]", "HF_HUB_OFFLINE");
  options.offline = false;
  const fs::path folder = fetch().folder;
  const auto requests = hub.seen().size();
  options.offline = true;
  EXPECT_EQ(fetch().folder, folder);
  EXPECT_EQ(hub.seen().size(), requests);
}

TEST_F(DownloadTest, WrongOptionsAreRefused) {
  options.model = "nothing";
  test::expect_error(
      ErrorCode::invalid_argument, [&] { fetch(); }, "'nothing'", "t2v-A14B");
  options.model = "Org/Name";
  options.connections = 65;
  test::expect_error(
      ErrorCode::invalid_argument, [&] { fetch(); }, "65 connections");
  options.connections = 4;
  options.token = "a\r\nX-Evil: b";
  test::expect_error(
      ErrorCode::invalid_argument, [&] { fetch(); }, "HF_TOKEN");
  options.token = "";
  options.endpoint = "ftp://hub.example";
  test::expect_error(
      ErrorCode::invalid_argument, [&] { fetch(); }, "ftp://hub.example");
}

TEST_F(DownloadTest, TooLittleDiskSpaceIsSeenBeforeTheFirstByte) {
  hub.alter = [](const test::HttpQuery& query, bool cdn, test::HttpReply& reply) {
    if (cdn || query.path.find("/tree/") == std::string::npos) return;
    // 20 digits of bytes: more than any disk has.
    for (size_t at = 0; (at = reply.body.find("\"size\":20", at)) != std::string::npos; ++at)
      reply.body.replace(at, 9, "\"size\":20000000000000");
  };
  test::expect_error(
      ErrorCode::invalid_argument, [&] { fetch(); }, "are still to come", "free some space");
  EXPECT_EQ(hub.count("GET", true), 0u);
}

}  // namespace
}  // namespace wan::hub
