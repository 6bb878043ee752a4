#include "io/tensor_stream.h"

#include <gtest/gtest.h>

#include "io/safetensors.h"
#include "io/torch_file.h"
#include "support/expect_error.h"

namespace wan::io {
namespace {

using test::expect_error;

/// Tensors in memory, and what a stream makes of them.
struct Source {
  TensorEntry add(const std::string& name, DType dtype, std::vector<int64_t> shape, std::vector<std::byte> data) {
    const auto size = static_cast<int64_t>(data.size());
    return {name, dtype, std::move(shape), MappedFile::from_memory(name, std::move(data)), 0, size};
  }
  TensorEntry floats(const std::string& name, std::vector<int64_t> shape, const std::vector<float>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    return add(name, DType::f32, std::move(shape), {bytes.begin(), bytes.end()});
  }
};

std::shared_ptr<const MappedFile> streamed(const std::function<void(const ByteSink&)>& stream) {
  std::vector<std::byte> all;
  stream([&](std::span<const std::byte> bytes) { all.insert(all.end(), bytes.begin(), bytes.end()); });
  return MappedFile::from_memory("streamed", std::move(all));
}

std::vector<std::byte> content(const TensorEntry& entry) { return entry.file->read(entry.offset, entry.nbytes); }

class TensorStream : public testing::Test {
 protected:
  TensorStream() {
    std::vector<float> many(3'000'001);  // more than a chunk
    for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<float>(i) * 0.37f;
    const std::vector<float> values = {1.0f, 1.00390625f, -2.5f, 1e30f, 0.1f, 7.0f};
    entries = {source.add("bytes", DType::u8, {3}, {std::byte{1}, std::byte{2}, std::byte{3}}),
               source.floats("values", {2, 3}, values), source.floats("many", {3'000'001}, many),
               source.floats("scalar", {}, {4}), source.add("empty", DType::f16, {0, 5}, {})};
    for (const TensorEntry& entry : entries) copies.push_back({entry.name, &entry, entry.dtype});
  }
  void expect_copied(const TensorIndex& tensors) const {
    ASSERT_EQ(tensors.size(), copies.size());
    for (const TensorCopy& copy : copies) {
      SCOPED_TRACE(copy.name);
      const TensorEntry& made = tensors.at(copy.name);
      EXPECT_EQ(made.dtype, copy.dtype);
      EXPECT_EQ(made.shape, copy.from->shape);
      if (copy.dtype == copy.from->dtype) {
        EXPECT_EQ(content(made), content(*copy.from));
      } else {
        std::vector<bf16> expected(static_cast<size_t>(copy.from->numel()));
        read_as_bf16(*copy.from, expected);
        const auto bytes = std::as_bytes(std::span(expected));
        EXPECT_EQ(content(made), std::vector(bytes.begin(), bytes.end()));
      }
    }
  }

  Source source;
  std::vector<TensorEntry> entries;
  std::vector<TensorCopy> copies;
};

TEST_F(TensorStream, Safetensors) {
  for (const bool rounded : {false, true}) {
    if (rounded) copies[1].dtype = copies[2].dtype = DType::bf16;
    const SafetensorsMetadata metadata{{"format", "pt"}};
    const auto file = streamed([&](const ByteSink& sink) { stream_safetensors(copies, metadata, sink); });
    EXPECT_EQ(file->size(), safetensors_bytes(copies, metadata));
    const SafetensorsFile made = open_safetensors(file);
    EXPECT_EQ(made.metadata, metadata);
    expect_copied(made.tensors);
    for (const auto& [name, entry] : made.tensors.entries()) EXPECT_EQ(entry.offset % size_of(entry.dtype), 0) << name;
  }
}

TEST_F(TensorStream, TorchFile) {
  for (const bool rounded : {false, true}) {
    if (rounded) copies[1].dtype = copies[2].dtype = DType::bf16;
    const auto file = streamed([&](const ByteSink& sink) { stream_torch_file(copies, sink); });
    EXPECT_LE(file->size(), torch_file_bytes(copies));
    const TensorIndex made = open_torch_file(file);
    expect_copied(made);
    for (const auto& [name, entry] : made.entries()) EXPECT_EQ(entry.offset % 64, 0) << name;
  }
}

TEST_F(TensorStream, OtherConversionsAreRefused) {
  copies[0].dtype = DType::bf16;
  expect_error(
      ErrorCode::unsupported, [&] { streamed([&](const ByteSink& sink) { stream_tensor(copies[0], sink); }); }, "u8");
  copies[1].dtype = DType::f16;
  expect_error(
      ErrorCode::unsupported, [&] { streamed([&](const ByteSink& sink) { stream_tensor(copies[1], sink); }); },
      "f32 cannot become f16");
}

// 4 GiB that take no memory: the check comes before the first byte.
TEST_F(TensorStream, ATorchFileTakesNoTensorOfFourGigabytes) {
  TensorEntry huge = entries[1];
  huge.nbytes = int64_t{1} << 32;
  huge.shape = {int64_t{1} << 30};
  const std::vector<TensorCopy> one = {{"huge", &huge, DType::f32}};
  expect_error(
      ErrorCode::unsupported, [&] { streamed([&](const ByteSink& sink) { stream_torch_file(one, sink); }); }, "4 GiB",
      "bf16");
}

}  // namespace
}  // namespace wan::io
