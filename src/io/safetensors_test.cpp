#include "io/safetensors.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "support/bytes.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace wan::io {
namespace {

using test::expect_error;
using test::little;
using test::TempDir;
using test::to_bytes;

const std::string fixtures = WAN_SOURCE_DIR "/tests/fixtures/io/";

std::string file_of(const std::string& header, const std::string& data) {
  return little(static_cast<uint64_t>(header.size())) + header + data;
}

SafetensorsFile open_bytes(const std::string& content) {
  return open_safetensors(MappedFile::from_memory("w.safetensors", to_bytes(content)));
}

// The bytes must be refused, naming the file and all of these texts.
template <class... Texts>
void refused(const std::string& content, Texts... texts) {
  expect_error(
      ErrorCode::bad_file, [&] { open_bytes(content); }, "[w.safetensors]", texts...);
}

TEST(Safetensors, ReadsWhatPythonWrote) {
  const SafetensorsFile file = open_safetensors(fixtures + "mixed.safetensors");
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"format", "pt"}, {"made by", "numpy"}}));
  const TensorIndex& tensors = file.tensors;
  ASSERT_EQ(tensors.size(), 4u);
  const std::vector<float> values = {0.0f, 1.0f, -2.5f, 3.140625f, 65504.0f, -0.0078125f};
  EXPECT_EQ(tensors.at("a.weight").dtype, DType::f32);
  EXPECT_EQ(tensors.at("a.weight").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(read_as_f32(tensors.at("a.weight")), values);
  EXPECT_EQ(tensors.at("half").dtype, DType::f16);
  EXPECT_EQ(read_as_f32(tensors.at("half")), values);
  EXPECT_EQ(tensors.at("b").dtype, DType::i64);
  EXPECT_EQ(tensors.at("b").nbytes, 32);
  EXPECT_EQ(tensors.at("empty").shape, (std::vector<int64_t>{0, 4}));
  EXPECT_TRUE(read_as_f32(tensors.at("empty")).empty());
  EXPECT_EQ(tensors.total_bytes(), 24 + 12 + 32);
  std::vector<bf16> b16(6);
  read_as_bf16(tensors.at("a.weight"), b16);
  EXPECT_EQ(static_cast<float>(b16[2]), -2.5f);
}

TEST(Safetensors, AcceptsPaddingScalarsAndNoTensors) {
  EXPECT_EQ(open_bytes(file_of("{}", "")).tensors.size(), 0u);
  const SafetensorsFile file =
      open_bytes(file_of(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}      )", little(2.0f)));
  EXPECT_EQ(read_as_f32(file.tensors.at("s")), std::vector<float>{2.0f});
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const std::string whole = test::read_file(fixtures + "mixed.safetensors");
  EXPECT_NO_THROW(open_bytes(whole));
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_THROW(open_bytes(whole.substr(0, n)), Error) << "cut to " << n << " bytes";
  refused("", "0 bytes");
  refused(whole.substr(0, 100), "truncated or still downloading", "100 bytes");
  refused(whole.substr(0, whole.size() - 1), "file is 371 of 372 bytes", "truncated or still downloading");
  refused(whole + "x", "1 bytes after its last tensor");
}

// A sparse file: what a download that has reserved its space looks like.
TEST(Safetensors, SaysHowMuchOfALargeFileIsThere) {
  const TempDir dir;
  const std::string header = R"({"w":{"dtype":"F32","shape":[2475000000],"data_offsets":[0,9900000000]}})";
  test::write_file(dir / "w.safetensors", file_of(header, ""));
  std::filesystem::resize_file(dir / "w.safetensors", 3'100'000'000);
  expect_error(
      ErrorCode::bad_file, [&] { open_safetensors(dir / "w.safetensors"); }, "3.1 of 9.9 GB");
  std::filesystem::resize_file(dir / "w.safetensors", 9'900'000'000 + 8 + static_cast<int64_t>(header.size()));
  EXPECT_EQ(open_safetensors(dir / "w.safetensors").tensors.total_bytes(), 9'900'000'000);
}

TEST(Safetensors, RefusesLyingLengths) {
  refused(little(uint64_t{1}) + "{}", "header of 1 bytes");
  refused(little(uint64_t{100'000'001}) + "{}", "100000001", "100000000");
  refused(little(~uint64_t{0}) + "{}", "is not a safetensors file");
  refused(little(uint64_t{1} << 63) + "{}", "is not a safetensors file");
  refused(little(uint64_t{1000}) + "{}", "truncated");
  refused(file_of("[]", ""), "not JSON");
  refused(file_of("{\"a\":}", ""), "not valid JSON");
}

TEST(Safetensors, RefusesLyingDescriptions) {
  const auto one = [](const std::string& members, size_t bytes = 8) {
    return file_of(R"({"the.weight":{)" + members + "}}", std::string(bytes, '\0'));
  };
  EXPECT_NO_THROW(open_bytes(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])")));
  refused(one(R"("dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8])"), "'the.weight'", "'F8_E4M3'", "BF16");
  refused(one(R"("dtype":7,"shape":[2],"data_offsets":[0,8])"), "dtype");
  refused(one(R"("shape":[2],"data_offsets":[0,8])"), "'the.weight' has no dtype");
  refused(one(R"("dtype":"F32","data_offsets":[0,8])"), "has no shape");
  refused(one(R"("dtype":"F32","shape":[2])"), "has no data_offsets");
  refused(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1)"), "unknown member 'x'");
  refused(one(R"("dtype":"F32","shape":2,"data_offsets":[0,8])"), "shape that is not an array");
  refused(one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), "a dimension '-2'");
  refused(one(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), "a dimension '2.0'");
  refused(one(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8])"), "a dimension");
  refused(one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), "'the.weight'", "f32 [3] does not make 8 bytes");
  // Products that wrap around to the right number of bytes.
  refused(one(R"("dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8])"), "does not make 8 bytes");
  refused(one(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])", 0), "does not make 0 bytes");
  refused(one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), "before its begin");
  refused(one(R"("dtype":"F32","shape":[2],"data_offsets":[0])"), "not a pair");
  refused(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,9223372036854775807])"), "no file can have");
  refused(one(R"("dtype":"F32","shape":[2],"data_offsets":[0,9223372036854775808])"), "the offset");
  refused(one(R"("dtype":"F32","shape":[2],"data_offsets":[-8,0])"), "the offset");
  refused(file_of(R"({"a":[1]})", ""), "not described by an object");
  refused(file_of(R"({"__metadata__":{"a":1}})", ""), "strings to strings");
  refused(file_of(R"({"__metadata__":"x"})", ""), "strings to strings");
}

TEST(Safetensors, RefusesOverlapsGapsAndDuplicates) {
  const auto two = [](const std::string& a, const std::string& b, size_t bytes, const std::string& second = "b") {
    const std::string members = R"("dtype":"U8","shape":[4],"data_offsets":)";
    return file_of(R"({"a":{)" + members + a + R"(},")" + second + R"(":{)" + members + b + "}}",
                   std::string(bytes, '\0'));
  };
  EXPECT_NO_THROW(open_bytes(two("[0,4]", "[4,8]", 8)));
  EXPECT_NO_THROW(open_bytes(two("[4,8]", "[0,4]", 8)));
  refused(two("[0,4]", "[3,7]", 7), "'b' begins at offset 3, where 4 was expected", "overlaps", "'a'");
  refused(two("[0,4]", "[0,4]", 4), "overlaps");
  refused(two("[0,4]", "[5,9]", 9), "there is a gap after 'a'");
  refused(two("[1,5]", "[5,9]", 9), "there is a gap after the header");
  refused(two("[0,4]", "[4,8]", 8, "a"), "'a' occurs twice");
  refused(two("[0,4]", "[4,8]", 5), "file is");
}

TEST(Safetensors, NamesTheCommonAccidents) {
  refused(std::string(4096, '\0'), "begins with zeros");
  refused("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer", "git lfs pull");
  refused("<!DOCTYPE html><html></html>", "web page");
  refused(test::read_file(fixtures + "mixed.pth"), "zip archive");
}

// A header is untrusted text; it must not reach the terminal as it is.
TEST(Safetensors, EscapesNamesInMessages) {
  try {
    open_bytes(file_of(R"({"\u001b[2Jx":{"dtype":"?","shape":[],"data_offsets":[0,0]}})", ""));
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\x1b'), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("\\x1b[2Jx"), std::string::npos);
  }
}

}  // namespace
}  // namespace wan::io
