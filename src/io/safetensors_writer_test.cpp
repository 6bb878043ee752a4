#include "io/safetensors_writer.h"

#include <gtest/gtest.h>

#include "io/safetensors.h"
#include "support/bytes.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace wan::io {
namespace {

using test::expect_error;
using test::TempDir;

const std::vector<float> six = {1, 2, 3, 4, 5, 6};
const std::vector<int64_t> shape23 = {2, 3};

TEST(SafetensorsWriter, ReadsBack) {
  const TempDir dir;
  SafetensorsWriter writer(dir / "dump.safetensors", {{"prompt", "a \"cat\"\n\xff"}});
  writer.add("z.first", shape23, six);
  const std::vector<int64_t> ids = {7, 8};
  writer.add("a.second", DType::i64, std::vector<int64_t>{2}, std::as_bytes(std::span(ids)));
  writer.add("empty", std::vector<int64_t>{0, 5}, std::span<const float>());
  EXPECT_FALSE(std::filesystem::exists(dir / "dump.safetensors"));
  writer.commit();

  const SafetensorsFile file = open_safetensors(dir / "dump.safetensors");
  EXPECT_EQ(file.tensors.size(), 3u);
  EXPECT_EQ(read_as_f32(file.tensors.at("z.first")), six);
  EXPECT_EQ(file.tensors.at("z.first").shape, shape23);
  std::vector<int64_t> back(2);
  read_bytes(file.tensors.at("a.second"), std::as_writable_bytes(std::span(back)));
  EXPECT_EQ(back, ids);
  EXPECT_EQ(file.metadata.at("prompt"), "a \"cat\"\n\xef\xbf\xbd");
}

TEST(SafetensorsWriter, NothingRemainsWithoutCommit) {
  const TempDir dir;
  { SafetensorsWriter(dir / "x.safetensors").add("w", shape23, six); }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(SafetensorsWriter, RefusesMistakes) {
  const TempDir dir;
  SafetensorsWriter writer(dir / "x.safetensors", {}, 200);
  writer.add("w", shape23, six);
  const auto refused = [&](auto action, auto... texts) { expect_error(ErrorCode::invalid_argument, action, texts...); };
  refused([&] { writer.add("w", shape23, six); }, "'w' is taken");
  refused([&] { writer.add("__metadata__", shape23, six); }, "is taken");
  refused([&] { writer.add("v", std::vector<int64_t>{7}, six); }, "f32 [7] does not make 24 bytes");
  refused([&] { writer.add("v", std::vector<int64_t>{-2, -3}, six); }, "does not make 24 bytes");
  refused([&] { writer.add(std::string(200, 'n'), shape23, six); }, "header has room for 200 bytes");
  refused([&] { SafetensorsWriter(dir / "y", {{"k", std::string(1000, 'v')}}, 100); }, "the metadata needs");
  refused([&] { SafetensorsWriter(dir / "none/y"); }, "does not exist");
}

TEST(WriteSafetensors, HeaderIsNoLargerThanNeeded) {
  const TempDir dir;
  const TensorToWrite tensors[] = {{"noise", DType::f32, {2, 3}, std::as_bytes(std::span(six))}};
  write_safetensors(dir / "noise.safetensors", tensors, {{"seed", "1234"}});
  EXPECT_LT(std::filesystem::file_size(dir / "noise.safetensors"), 140u);
  const SafetensorsFile file = open_safetensors(dir / "noise.safetensors");
  EXPECT_EQ(read_as_f32(file.tensors.at("noise")), six);
  EXPECT_EQ(file.metadata.at("seed"), "1234");
  EXPECT_EQ(file.tensors.at("noise").offset % 8, 0);
}

}  // namespace
}  // namespace wan::io
