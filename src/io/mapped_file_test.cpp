#include "io/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "io/tensor_index.h"
#include "support/bytes.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::TempDir;
using test::to_bytes;
using test::write_file;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(MappedFile, ReadsByCopyAndInPlace) {
  const TempDir dir;
  write_file(dir / "x", "0123456789");
  for (const auto& file : {MappedFile::open(dir / "x"), MappedFile::from_memory("memory", to_bytes("0123456789"))}) {
    EXPECT_EQ(file->size(), 10);
    EXPECT_EQ(text_of(file->read(3, 4)), "3456");
    EXPECT_EQ(text_of(file->view(3, 7)), "3456789");
    EXPECT_EQ(file->view(10, 0).size(), 0u);
    for (const auto& part : {std::pair<int64_t, int64_t>{3, 8}, {-1, 2}, {0, -1}, {11, 0}, {INT64_MAX, INT64_MAX}}) {
      expect_error(
          ErrorCode::bad_file, [&] { file->read(part.first, part.second); }, file->name());
      expect_error(
          ErrorCode::bad_file, [&] { file->view(part.first, part.second); }, file->name());
    }
  }
}

TEST(MappedFile, EmptyFile) {
  const TempDir dir;
  write_file(dir / "x", "");
  const auto file = MappedFile::open(dir / "x");
  EXPECT_EQ(file->size(), 0);
  EXPECT_TRUE(file->view(0, 0).empty());
}

TEST(MappedFile, RefusesWhatIsNotARegularFile) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  expect_error(
      ErrorCode::bad_file, [&] { MappedFile::open(dir / "none"); }, "none", "no such file", "download");
  expect_error(
      ErrorCode::bad_file, [&] { MappedFile::open(dir.path()); }, "is a folder");
  expect_error(
      ErrorCode::bad_file, [&] { MappedFile::open(dir / "pipe"); }, "pipe");
  expect_error(
      ErrorCode::bad_file, [&] { MappedFile::open("/dev/zero"); }, "device");
}

// Reading a mapping beyond the end of a truncated file raises SIGBUS; none of this may.
TEST(MappedFile, TruncationWhileMappedIsAnError) {
  const TempDir dir;
  write_file(dir / "x", std::string(64 * 1024, 'x'));
  const auto file = MappedFile::open(dir / "x");
  EXPECT_EQ(text_of(file->view(60000, 2)), "xx");
  const TensorEntry tensor{"w", DType::f32, {1000}, file, 60000, 4000};

  fs::resize_file(dir / "x", 4096);
  expect_error(
      ErrorCode::bad_file, [&] { file->view(60000, 2); }, "became shorter", "fetch it again");
  expect_error(
      ErrorCode::bad_file, [&] { file->view(0, 2); }, "became shorter");
  expect_error(
      ErrorCode::bad_file, [&] { file->read(60000, 2); }, "ends at byte 60000", "became shorter");
  expect_error(
      ErrorCode::bad_file, [&] { read_as_f32(tensor); }, "became shorter");
  expect_error(
      ErrorCode::bad_file, [&] { bytes(tensor); }, "became shorter");
}

}  // namespace
}  // namespace wan::io
