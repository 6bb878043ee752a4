#include "weights/file_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/error.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "support/cpu_context.h"
#include "support/temp_dir.h"

namespace wan::weights {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A file with a matrix "m" [2, 3] = 1..6, a convolution "c" [1, 2, 1, 1, 2] = 1..4, a vector "v" [1, 2] and bf16 "b"
/// [2].
struct SmallFile {
  SmallFile() : path(dir / "small.safetensors") {
    io::SafetensorsWriter writer(path);
    add(writer, "m", {2, 3}, {1, 2, 3, 4, 5, 6});
    add(writer, "c", {1, 2, 1, 1, 2}, {1, 2, 3, 4});
    add(writer, "v", {1, 2}, {0.1f, 3});
    const bf16 halves[] = {bf16(1.5f), bf16(-2.f)};
    const int64_t n = 2;
    writer.add("b", DType::bf16, std::span(&n, 1), std::as_bytes(std::span(halves)));
    writer.commit();
    index = io::open_safetensors(path).tensors;
  }
  static void add(io::SafetensorsWriter& writer, const char* name, std::vector<int64_t> shape,
                  std::vector<float> values) {
    writer.add(name, shape, std::span<const float>(values));
  }
  test::TempDir dir;
  std::filesystem::path path;
  io::TensorIndex index;
};

Policy policy(DType compute, bool round = false) { return {compute, round, &host_memory()}; }

TEST(FileSource, UsesTheFileInPlaceWhereNothingChanges) {
  const SmallFile file;
  const std::vector<WeightSpec> specs{{"m", {2, 3}, WeightKind::matrix}, {"v", {1, 2}, WeightKind::vector}};
  const WeightSet set(file.index, specs, policy(DType::f32));
  EXPECT_EQ(set.owned_bytes(), 0);
  EXPECT_EQ(set.tensors()[0].data, static_cast<const void*>(io::bytes(file.index.at("m")).data()));
  EXPECT_EQ(set.tensors()[1].shape, (Shape{2}));
  EXPECT_FLOAT_EQ(set.tensors()[0].ptr<float>()[5], 6.f);
}

TEST(FileSource, ConvertsToTheComputeType) {
  const SmallFile file;
  const std::vector<WeightSpec> specs{{"m", {2, 3}, WeightKind::matrix}, {"b", {2}, WeightKind::vector}};
  const WeightSet set(file.index, specs, policy(DType::bf16));
  EXPECT_EQ(set.tensors()[0].dtype, DType::bf16);
  EXPECT_EQ(static_cast<float>(set.tensors()[0].ptr<bf16>()[3]), 4.f);
  EXPECT_EQ(set.tensors()[1].dtype, DType::f32);  // vectors stay float32, whatever the compute type
  EXPECT_THAT(std::vector<float>(set.tensors()[1].ptr<float>(), set.tensors()[1].ptr<float>() + 2),
              ElementsAre(1.5f, -2.f));
}

TEST(FileSource, ConvolutionsBecomeChannelsLast) {
  const SmallFile file;
  const std::vector<WeightSpec> specs{{"c", {1, 2, 1, 1, 2}, WeightKind::conv}};
  const WeightSet set(file.index, specs, policy(DType::f32));
  EXPECT_EQ(set.tensors()[0].shape, (Shape{1, 1, 1, 2, 2}));
  EXPECT_THAT(std::vector<float>(set.tensors()[0].ptr<float>(), set.tensors()[0].ptr<float>() + 4),
              ElementsAre(1, 3, 2, 4));
}

TEST(FileSource, RoundingIsAppliedToFloat32Weights) {
  const SmallFile file;
  const std::vector<WeightSpec> specs{{"v", {1, 2}, WeightKind::vector}};
  const WeightSet set(file.index, specs, policy(DType::f32, true));
  EXPECT_EQ(set.tensors()[0].ptr<float>()[0], static_cast<float>(bf16(0.1f)));
  EXPECT_NE(set.tensors()[0].ptr<float>()[0], 0.1f);
}

TEST(FileSource, ReportsEverythingThatIsWrongAtOnce) {
  const SmallFile file;
  const std::vector<WeightSpec> specs{
      {"m", {3, 2}, WeightKind::matrix}, {"gone", {1}, WeightKind::vector}, {"v", {1, 2}, WeightKind::vector}};
  std::vector<std::string> problems;
  check_specs(file.index, specs, problems);
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_THAT(problems[0], testing::AllOf(HasSubstr("'m'"), HasSubstr("[2, 3]"), HasSubstr("[3, 2]")));
  EXPECT_THAT(problems[1], testing::AllOf(HasSubstr("'gone'"), HasSubstr("missing")));
  try {
    throw_if_any(problems, "some/folder");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("some/folder"), HasSubstr("'m'"), HasSubstr("'gone'")));
  }
}

TEST(FileSource, TransientBlocksAreDroppedAndKeptOnesAreNotLoadedTwice) {
  const SmallFile file;
  const std::vector<std::vector<WeightSpec>> blocks{{{"m", {2, 3}, WeightKind::matrix}}};
  test::CpuContext cpu(DType::bf16);
  FileBlocks transient(file.index, blocks, policy(DType::bf16), Residency::transient);
  { EXPECT_EQ(transient.acquire(cpu.ctx, 0).tensors().size(), 1u); }
  EXPECT_EQ(transient.owned_bytes(), 0);

  FileBlocks keep(file.index, blocks, policy(DType::bf16), Residency::keep);
  const void* first = keep.acquire(cpu.ctx, 0).tensors()[0].data;
  EXPECT_EQ(keep.acquire(cpu.ctx, 0).tensors()[0].data, first);
  EXPECT_EQ(keep.owned_bytes(), 12);
}

// A checkpoint that another program truncates while it is mapped must give an error, never SIGBUS.
TEST(FileSource, ATruncatedFileIsNoticedBeforeItsBytesAreUsed) {
  const SmallFile file;
  test::CpuContext cpu;
  FileBlocks blocks(file.index, {{{"m", {2, 3}, WeightKind::matrix}}}, policy(DType::f32), Residency::keep);
  (void)blocks.acquire(cpu.ctx, 0);
  std::filesystem::resize_file(file.path, 16);
  try {
    (void)blocks.acquire(cpu.ctx, 0);
    FAIL() << "the truncation went unnoticed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_THAT(error.what(), HasSubstr("small.safetensors"));
  }
}

}  // namespace
}  // namespace wan::weights
