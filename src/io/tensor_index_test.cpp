#include "io/tensor_index.h"

#include <gtest/gtest.h>

#include "support/bytes.h"
#include "support/expect_error.h"

namespace wan::io {
namespace {

using test::expect_error;

std::shared_ptr<const MappedFile> file_of_floats(size_t n) {
  std::string content;
  for (size_t i = 0; i < n; ++i) content += test::little(static_cast<float>(i));
  return MappedFile::from_memory("memory", test::to_bytes(content));
}

TEST(TensorIndex, FindsAndSorts) {
  const auto file = file_of_floats(10);
  TensorIndex index("model");
  index.add({"b", DType::f32, {2, 2}, file, 0, 16});
  TensorIndex other("other");
  other.add({"a", DType::f32, {}, file, 16, 4});
  index.merge(std::move(other));
  EXPECT_EQ(index.size(), 2u);
  EXPECT_EQ(index.total_bytes(), 20);
  EXPECT_EQ(index.entries().begin()->first, "a");
  EXPECT_EQ(index.at("b").numel(), 4);
  EXPECT_EQ(index.find("c"), nullptr);
  EXPECT_EQ(read_as_f32(index.at("b")), (std::vector<float>{0, 1, 2, 3}));
  EXPECT_EQ(bytes(index.at("a")).size(), 4u);
  expect_error(
      ErrorCode::bad_file, [&] { index.at("c"); }, "[model] has no tensor 'c'");
}

TEST(TensorIndex, RefusesWhatDoesNotFit) {
  const auto file = file_of_floats(10);
  TensorIndex index("model");
  index.add({"a", DType::f32, {1}, file, 0, 4});
  const auto refused = [&](TensorEntry entry, auto... texts) {
    expect_error(
        ErrorCode::bad_file, [&] { index.add(entry); }, texts...);
  };
  refused({"a", DType::f32, {1}, file, 0, 4}, "'a' occurs twice", "memory");
  refused({"b", DType::f32, {2}, file, 0, 4}, "f32 [2] does not make 4 bytes");
  refused({"b", DType::f32, {1}, file, 40, 4}, "40+4", "the file has 40");
  refused({"b", DType::f32, {1}, file, -4, 4}, "-4");
  refused({"b", DType::f32, {1}, file, INT64_MAX, 4}, "the file has 40");
  EXPECT_EQ(index.size(), 1u);
}

TEST(TensorIndex, DestinationMustFit) {
  const TensorEntry entry{"w", DType::bf16, {4}, file_of_floats(10), 0, 8};
  std::vector<float> out(5);
  expect_error(
      ErrorCode::invalid_argument, [&] { read_as_f32(entry, out); }, "'w' has 4 elements", "room for 5");
  expect_error(
      ErrorCode::invalid_argument, [&] { read_bytes(entry, std::as_writable_bytes(std::span(out))); }, "8 bytes");
}

// Longer than the pieces in which tensors are read, and no multiple of them.
TEST(TensorIndex, ConvertsInPieces) {
  const size_t n = 200'003;
  const auto file = file_of_floats(n);
  const TensorEntry entry{"w", DType::f32, {static_cast<int64_t>(n)}, file, 0, static_cast<int64_t>(n) * 4};
  std::vector<bf16> out(n);
  read_as_bf16(entry, out);
  for (size_t i = 0; i < n; ++i) ASSERT_EQ(out[i].bits, bf16(static_cast<float>(i)).bits) << i;
}

}  // namespace
}  // namespace wan::io
