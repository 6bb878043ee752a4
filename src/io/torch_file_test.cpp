#include "io/torch_file.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/bytes.h"
#include "support/expect_error.h"
#include "support/pickle_builder.h"
#include "support/temp_dir.h"
#include "support/zip_builder.h"

namespace wan::io {
namespace {

using test::expect_error;
using test::pickle_begin;
using test::pickle_global;
using test::pickle_state_dict;
using test::pickle_text;
using test::PickledTensorParts;
using test::ZipBuilder;
using test::ZipMember;

const std::string fixtures = WAN_SOURCE_DIR "/tests/fixtures/io/";
const std::vector<float> values = {0.0f, 1.0f, -2.5f, 3.140625f, 65504.0f, -0.0078125f};

// An archive of one pickle and one storage "0" of 24 bytes.
std::string archive(const std::string& pickle, const std::string& byteorder = "little") {
  return ZipBuilder()
      .add(ZipMember("m/data.pkl", pickle))
      .add(ZipMember("m/byteorder", byteorder))
      .add(ZipMember("m/data/0", std::string(24, '\0')))
      .build();
}

TensorIndex open_bytes(const std::string& content) {
  return open_torch_file(MappedFile::from_memory("a.pth", test::to_bytes(content)));
}

template <class... Texts>
void refused(const std::string& content, Texts... texts) {
  expect_error(
      ErrorCode::bad_file, [&] { open_bytes(content); }, "[a.pth]", texts...);
}

template <class... Texts>
void refused_tensor(const PickledTensorParts& parts, Texts... texts) {
  refused(archive(pickle_state_dict(parts)), "'w'", texts...);
}

TEST(TorchFile, ReadsEveryType) {
  for (const char* name : {"mixed.pth", "nested.pth"}) {
    const TensorIndex tensors = open_torch_file(fixtures + name);
    ASSERT_EQ(tensors.size(), 10u) << name;
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i64, DType::i32, DType::u8}) {
      const TensorEntry& entry = tensors.at("tensor." + std::string(to_string(dtype)));
      EXPECT_EQ(entry.dtype, dtype);
      EXPECT_EQ(entry.shape, (std::vector<int64_t>{2, 3}));
      EXPECT_EQ(entry.nbytes, 6 * size_of(dtype));
    }
    for (const char* tensor : {"tensor.f32", "tensor.f16", "tensor.f64", "parameter"})
      EXPECT_EQ(read_as_f32(tensors.at(tensor)), values) << tensor;
    // bf16 keeps eight bits of these values.
    std::vector<float> rounded = values;
    rounded[4] = 65280.0f;
    EXPECT_EQ(read_as_f32(tensors.at("tensor.bf16")), rounded);
    EXPECT_EQ(read_as_f32(tensors.at("part")), (std::vector<float>(values.begin() + 2, values.end())));
    EXPECT_EQ(read_as_f32(tensors.at("scalar")), std::vector<float>{3.140625f});
    std::vector<int32_t> integers(6);
    read_bytes(tensors.at("tensor.i32"), std::as_writable_bytes(std::span(integers)));
    EXPECT_EQ(integers, (std::vector<int32_t>{0, 1, 2, 3, 4, 5}));
  }
}

TEST(TorchFile, AcceptsWhatTorchWritesNowAndThen) {
  EXPECT_EQ(open_bytes(archive(pickle_state_dict({}))).size(), 1u);
  // No byteorder entry: torch before 2.0.
  const std::string older = ZipBuilder()
                                .add(ZipMember("m/data.pkl", pickle_state_dict({})))
                                .add(ZipMember("m/data/0", std::string(24, 'x')))
                                .build();
  EXPECT_EQ(open_bytes(older).size(), 1u);
  // Strides of dimensions of size 1, and of tensors without elements, mean nothing.
  EXPECT_EQ(open_bytes(archive(pickle_state_dict({.shape = {2, 1, 3}, .strides = {3, 77, 1}}))).size(), 1u);
  EXPECT_EQ(open_bytes(archive(pickle_state_dict({.shape = {0, 9}, .strides = {1, 5}}))).at("w").nbytes, 0);
  EXPECT_EQ(open_bytes(archive(pickle_state_dict({.type = "UntypedStorage", .numel = 24, .module = "torch.storage"})))
                .at("w")
                .dtype,
            DType::u8);
  EXPECT_EQ(open_bytes(archive(pickle_begin + "}" + pickle_text("model") + "}" + pickle_text("v") +
                               test::pickle_tensor({}) + "ss."))
                .size(),
            1u);
}

TEST(TorchFile, RefusesCode) {
  expect_error(
      ErrorCode::bad_file, [] { open_torch_file(fixtures + "runs_code.pth"); }, "runs_code.pth", "system",
      "nothing was run");
  expect_error(
      ErrorCode::bad_file, [] { read_state_dict(test::to_bytes(test::read_file(fixtures + "protocol4.pkl")), "x"); },
      "protocol 4");
  // A call in the place of a tensor's argument.
  refused(archive(pickle_begin + "}" + pickle_text("w") + pickle_global("torch._utils", "_rebuild_tensor_v2") + "(" +
                  pickle_global("os", "system") + pickle_text("id") + "\x85R" + "K\x01K\x01K\x01tRs."),
          "'os system'");
  refused(archive(pickle_begin + pickle_global("torch", "load") + "."), "'torch load'");
  refused(archive(pickle_state_dict({.type = "QInt8Storage"})), "'torch QInt8Storage'");
}

TEST(TorchFile, RefusesTensorsThatLie) {
  refused_tensor({.key = "1"}, "needs storage '1'");
  refused_tensor({.key = "../0"}, "needs storage '../0'");
  refused_tensor({.numel = 7}, "storage of 7 f32 elements in 24 bytes");
  refused_tensor({.type = "DoubleStorage"}, "storage of 6 f64 elements in 24 bytes");
  refused_tensor({.numel = int64_t{1} << 62}, "elements in 24 bytes");
  refused_tensor({.numel = -1}, "whole number");
  refused_tensor({.offset = 1}, "takes [2, 3] elements from 1 of a storage of 6");
  refused_tensor({.offset = INT64_MAX}, "from 9223372036854775807");
  refused_tensor({.offset = -1}, "whole number");
  refused_tensor({.shape = {-2, -3}}, "whole number");
  refused_tensor({.shape = {3, 3}}, "takes [3, 3]");
  refused_tensor({.shape = {1 << 30, 1 << 30, 1 << 30}, .strides = {int64_t{1} << 60, 1 << 30, 1}}, "takes");
  refused_tensor({.shape = {2}, .strides = {3, 1}}, "number of strides");
  refused_tensor({.shape = std::vector<int64_t>(17, 1), .strides = std::vector<int64_t>(17, 1)}, "at most 16");
  refused_tensor({.shape = {3, 2}, .strides = {1, 3}}, "shape [3, 2] and strides [1, 3]", ".contiguous()");
  refused_tensor({.shape = {2, 3}, .strides = {0, 1}}, "contiguous");
  expect_error(
      ErrorCode::bad_file, [] { open_torch_file(fixtures + "transposed.pth"); }, "'w'", "[1, 3]");
}

TEST(TorchFile, RefusesWhatIsNotAStateDict) {
  refused(archive(pickle_begin + "N."), "holds a None", "state dict");
  refused(archive(pickle_begin + "]."), "holds a list");
  refused(archive(pickle_begin + "}K\x01Ns."), "key that is not a string");
  refused(archive(pickle_begin + "}" + pickle_text("epoch") + "K\x03s."), "'epoch' is not a tensor");
  refused(archive(pickle_begin + pickle_global("torch", "FloatStorage") + "."), "holds a global");
  const std::string rebuild = "}" + pickle_text("w") + pickle_global("torch._utils", "_rebuild_tensor_v2");
  refused(archive(pickle_begin + rebuild + ")Rs."), "'w' lacks its storage");
  refused(archive(pickle_begin + rebuild + "(NK\x01))tRs."), "'w' has no storage");
  refused(archive(pickle_begin + rebuild + "(NQK\x01))tRs."), "'w' has no storage");
  refused(archive(pickle_begin + rebuild + "((NNNNNtQK\x01))tRs."), "storage that torch.save does not write");
  refused(archive(pickle_begin + "}" + pickle_text("w") + pickle_global("torch._utils", "_rebuild_parameter") + ")Rs."),
          "parameter without data");
  const std::string twice =
      "(" + pickle_text("w") + test::pickle_tensor({}) + pickle_text("w") + test::pickle_tensor({}) + "u";
  refused(archive(pickle_begin + "}" + twice + "."), "'w' occurs twice");
}

TEST(TorchFile, RefusesOtherArchives) {
  refused(archive(pickle_state_dict({}), "big"), "byte order 'big'");
  expect_error(
      ErrorCode::bad_file, [] { open_torch_file(fixtures + "big_endian.pth"); }, "'big'");
  refused(ZipBuilder().add(ZipMember("readme", "x")).build(), "0 members FOLDER/data.pkl");
  refused(ZipBuilder().add(ZipMember("a/data.pkl", "x")).add(ZipMember("b/data.pkl", "x")).build(), "2 members");
  refused(ZipBuilder().add(ZipMember("a/data.pkl", "x")).add(ZipMember("a/constants.pkl", "x")).build(), "TorchScript");
  refused(std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15) + std::string(100, '.'),
          "before version 1.6", "torch.save");
}

// Local headers, pickle, storages, directory: wherever the download stopped, it is an error and no crash.
TEST(TorchFile, EveryTruncationIsAnError) {
  const std::string whole = test::read_file(fixtures + "mixed.pth");
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_THROW(open_bytes(whole.substr(0, n)), Error) << n;
}

TEST(TorchFile, TruncationAfterOpeningIsAnError) {
  const test::TempDir dir;
  std::filesystem::copy_file(fixtures + "mixed.pth", dir / "m.pth");
  const TensorIndex tensors = open_torch_file(dir / "m.pth");
  EXPECT_EQ(bytes(tensors.at("tensor.f32")).size(), 24u);
  std::filesystem::resize_file(dir / "m.pth", 100);
  expect_error(
      ErrorCode::bad_file, [&] { bytes(tensors.at("tensor.f32")); }, "became shorter");
  expect_error(
      ErrorCode::bad_file, [&] { read_as_f32(tensors.at("tensor.f32")); }, "became shorter");
}

}  // namespace
}  // namespace wan::io
