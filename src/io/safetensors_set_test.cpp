#include "io/safetensors_set.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/safetensors_writer.h"
#include "support/bytes.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::TempDir;
using test::write_file;

const std::string stem = "diffusion_pytorch_model";

std::string shard(int k, int n) { return fmt::format("{}-{:05}-of-{:05}.safetensors", stem, k, n); }

void write_shard(const fs::path& path, const std::string& tensor) {
  const float value = 1;
  const TensorToWrite tensors[] = {{tensor, DType::f32, {1}, std::as_bytes(std::span(&value, 1))}};
  write_safetensors(path, tensors);
}

void write_index(const TempDir& dir, const std::string& map) {
  write_file(dir / (stem + ".safetensors.index.json"), R"({"metadata":{"total_size":12},"weight_map":{)" + map + "}}");
}

// Three shards with tensors a, b, c, and their index.
void write_set(const TempDir& dir) {
  for (int k = 1; k <= 3; ++k) write_shard(dir / shard(k, 3), std::string(1, static_cast<char>('a' + k - 1)));
  write_index(dir, fmt::format(R"("a":"{}","b":"{}","c":"{}")", shard(1, 3), shard(2, 3), shard(3, 3)));
}

TensorIndex open_folder(const TempDir& dir) { return open_safetensors_path(dir.path()); }

TEST(SafetensorsSet, OpensShardsWithAndWithoutIndex) {
  const TempDir dir;
  write_set(dir);
  EXPECT_EQ(open_folder(dir).size(), 3u);
  EXPECT_EQ(open_safetensors_path(dir / (stem + ".safetensors.index.json")).size(), 3u);
  EXPECT_EQ(open_safetensors_path(dir / shard(2, 3)).size(), 1u);
  fs::remove(dir / (stem + ".safetensors.index.json"));
  EXPECT_EQ(open_folder(dir).size(), 3u);
}

TEST(SafetensorsSet, OpensASingleFile) {
  const TempDir dir;
  write_shard(dir / (stem + ".safetensors"), "a");
  EXPECT_EQ(open_folder(dir).size(), 1u);
}

TEST(SafetensorsSet, ReportsAllMissingShardsAtOnce) {
  for (const bool with_index : {true, false}) {
    const TempDir dir;
    write_set(dir);
    if (!with_index) fs::remove(dir / (stem + ".safetensors.index.json"));
    fs::remove(dir / shard(1, 3));
    fs::remove(dir / shard(3, 3));
    EXPECT_EQ(find_safetensors(dir.path()).missing.size(), 2u);
    expect_error(
        ErrorCode::bad_file, [&] { open_folder(dir); }, "2 problems", shard(1, 3), shard(3, 3), "download");
  }
  const TempDir empty;
  expect_error(
      ErrorCode::bad_file, [&] { open_folder(empty); }, stem + ".safetensors", "is missing");
}

TEST(SafetensorsSet, ReportsAllDamagedShardsAtOnce) {
  const TempDir dir;
  write_set(dir);
  fs::resize_file(dir / shard(1, 3), fs::file_size(dir / shard(1, 3)) - 1);
  fs::remove(dir / shard(2, 3));
  fs::resize_file(dir / shard(3, 3), 5);
  expect_error(
      ErrorCode::bad_file, [&] { open_folder(dir); }, "3 problems", shard(1, 3), "file is", shard(2, 3), "is missing",
      shard(3, 3), "5 bytes");
}

TEST(SafetensorsSet, ReportsTensorsThatAreNotWhereTheIndexSays) {
  const TempDir dir;
  write_set(dir);
  write_index(dir, fmt::format(R"("a":"{}","b":"{}","nowhere":"{}")", shard(2, 3), shard(2, 3), shard(1, 3)));
  expect_error(
      ErrorCode::bad_file, [&] { open_folder(dir); }, "2 problems", "has no tensor 'a'", "has no tensor 'nowhere'");
}

TEST(SafetensorsSet, RefusesTheSameTensorTwice) {
  const TempDir dir;
  write_shard(dir / shard(1, 2), "a");
  write_shard(dir / shard(2, 2), "a");
  expect_error(
      ErrorCode::bad_file, [&] { open_folder(dir); }, "'a' occurs twice", shard(1, 2), shard(2, 2));
}

TEST(SafetensorsSet, RefusesIndexesThatLeaveTheFolder) {
  const TempDir dir;
  for (const char* name : {"../other.safetensors", "/etc/x.safetensors", "sub/x.safetensors", "..", "x.txt", ""}) {
    write_index(dir, fmt::format(R"("a":"{}")", name));
    expect_error(
        ErrorCode::bad_file, [&] { open_folder(dir); }, "tensor 'a' is said to be in", "same folder");
  }
  write_index(dir, R"("a":7)");
  expect_error(
      ErrorCode::bad_file, [&] { open_folder(dir); }, "same folder");
  write_index(dir, "");
  expect_error(
      ErrorCode::bad_file, [&] { open_folder(dir); }, "lists no tensors");
  write_file(dir / (stem + ".safetensors.index.json"), "{}");
  expect_error(
      ErrorCode::bad_file, [&] { open_folder(dir); }, "weight_map");
}

TEST(SafetensorsSet, RefusesShardsOfTwoSets) {
  const TempDir dir;
  write_shard(dir / shard(1, 2), "a");
  write_shard(dir / shard(1, 3), "b");
  expect_error(
      ErrorCode::bad_file, [&] { open_folder(dir); }, "two different sets");
}

TEST(SafetensorsSet, IgnoresOtherFiles) {
  const TempDir dir;
  write_shard(dir / shard(1, 1), "a");
  write_shard(dir / "other.safetensors", "b");
  write_file(dir / (stem + "-00001-of-0000x.safetensors"), "");
  write_file(dir / (stem + "-00001-of-00002.safetensors.part"), "");
  EXPECT_EQ(open_folder(dir).size(), 1u);
}

}  // namespace
}  // namespace wan::io
