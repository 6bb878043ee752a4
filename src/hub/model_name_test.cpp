#include "hub/model_name.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/temp_dir.h"
#include "wan/download.h"

namespace wan::hub {
namespace {

namespace fs = std::filesystem;

TEST(ModelName, KnownNamesAndRepositories) {
  EXPECT_EQ(parse_model_name("t2v-A14B")->repo, "Wan-AI/Wan2.2-T2V-A14B");
  EXPECT_EQ(parse_model_name("i2v-A14B")->repo, "Wan-AI/Wan2.2-I2V-A14B");
  const auto pinned = parse_model_name("ti2v-5B@refs/pr/1");
  EXPECT_EQ(pinned->repo, "Wan-AI/Wan2.2-TI2V-5B");
  EXPECT_EQ(pinned->revision, "refs/pr/1");
  EXPECT_EQ(parse_model_name("Org/Name.v2_x-1")->repo, "Org/Name.v2_x-1");
  EXPECT_TRUE(is_model_name("Org/Name"));
}

TEST(ModelName, WhatIsNoName) {
  for (const char* text :
       {"", "t2v", "Org", "Org/Name/x", "../Name", "Org/..", "./Name", "Org/a--b", "/Name", "Org/", "Org/N m",
        "Org/Name@", "Org/Name@../../x", "Org/Name@a/../b", "Org/Name@/a", "Org/Name@a\nb", "Org/Name@.x", "~/Name"})
    EXPECT_FALSE(parse_model_name(text)) << text;
}

TEST(ModelName, ASnapshotIsFoundByRefAndByCommit) {
  const test::TempDir dir;
  const std::string commit(40, 'c');
  const fs::path repo = repo_folder(dir.path(), "Org/Name");
  EXPECT_EQ(repo.filename(), "models--Org--Name");
  fs::create_directories(repo / "snapshots" / commit);
  fs::create_directories(repo / "refs");
  EXPECT_FALSE(find_snapshot(dir.path(), {"Org/Name", ""}));
  std::ofstream(repo / "refs" / "main") << commit;
  std::ofstream(repo / "refs" / "hostile") << "../../..";
  EXPECT_EQ(find_snapshot(dir.path(), {"Org/Name", ""}), repo / "snapshots" / commit);
  EXPECT_EQ(find_snapshot(dir.path(), {"Org/Name", commit}), repo / "snapshots" / commit);
  EXPECT_FALSE(find_snapshot(dir.path(), {"Org/Name", "v1"}));
  EXPECT_FALSE(find_snapshot(dir.path(), {"Org/Name", "hostile"}));
  EXPECT_FALSE(find_model("Org/Name", dir.path())) << "the snapshot has no files";
}

}  // namespace
}  // namespace wan::hub
