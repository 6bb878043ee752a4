#include "io/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "support/bytes.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::read_file;
using test::TempDir;
using test::write_file;

int files_in(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(AtomicFile, AppearsWholeAtCommit) {
  const TempDir dir;
  AtomicFile file(dir / "clip.mp4");
  file.write("....world");
  file.write_at(0, test::to_bytes("hell"));
  EXPECT_EQ(file.size(), 9);
  EXPECT_FALSE(fs::exists(dir / "clip.mp4"));
  EXPECT_EQ(file.temporary_path().parent_path(), dir.path());
  EXPECT_EQ(file.temporary_path().extension(), ".mp4");
  file.commit();
  EXPECT_EQ(read_file(dir / "clip.mp4"), "hellworld");
  EXPECT_EQ(files_in(dir.path()), 1);
}

TEST(AtomicFile, LeavesTheOldFileWithoutCommit) {
  const TempDir dir;
  write_file(dir / "x", "old");
  {
    AtomicFile file(dir / "x");
    file.write("new");
    AtomicFile moved(std::move(file));
    moved.write("er");
  }
  EXPECT_EQ(read_file(dir / "x"), "old");
  EXPECT_EQ(files_in(dir.path()), 1);
}

TEST(AtomicFile, ObeysTheUmask) {
  const TempDir dir;
  const mode_t before = ::umask(027);
  AtomicFile file(dir / "x");
  file.commit();
  ::umask(before);
  struct stat info {};
  ASSERT_EQ(::stat((dir / "x").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST(AtomicFile, KeepsASymbolicLink) {
  const TempDir dir;
  fs::create_directory(dir / "store");
  write_file(dir / "store/real", "old");
  fs::create_symlink("store/real", dir / "link");
  AtomicFile file(dir / "link");
  file.write("new");
  file.commit();
  EXPECT_TRUE(fs::is_symlink(dir / "link"));
  EXPECT_EQ(read_file(dir / "store/real"), "new");
}

TEST(AtomicFile, LongNamesStillGetATemporaryName) {
  const TempDir dir;
  const std::string name = std::string(251, 'n') + ".mp4";
  AtomicFile file(dir / name);
  file.commit();
  EXPECT_TRUE(fs::exists(dir / name));
}

TEST(CheckOutputPath, AcceptsAndLeavesNothing) {
  const TempDir dir;
  check_output_path(dir / "clip.mp4", 1000);
  EXPECT_EQ(files_in(dir.path()), 0);
  write_file(dir / "clip.mp4", "old");
  check_output_path(dir / "clip.mp4");
  EXPECT_EQ(read_file(dir / "clip.mp4"), "old");
}

TEST(CheckOutputPath, SaysWhatIsWrong) {
  const TempDir dir;
  write_file(dir / "file", "");
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  const auto refused = [&](const fs::path& path, auto... texts) {
    expect_error(
        ErrorCode::invalid_argument, [&] { check_output_path(path); }, texts...);
  };
  refused("", "empty");
  refused(dir.path(), "is a folder", "clip.mp4");
  refused(dir.path() / "", "is a folder");
  refused(dir / "none/clip.mp4", "does not exist", "create it");
  refused(dir / "file/clip.mp4", "not");
  refused(dir / "pipe", "pipe");
  refused("/dev/null", "device");
  refused(dir / std::string(256, 'n'), "256 bytes", "255");
  refused("/proc/clip.mp4", "no file can be made in /proc");
}

TEST(CheckOutputPath, ReadOnlyFolder) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const TempDir dir;
  fs::permissions(dir.path(), fs::perms::owner_read | fs::perms::owner_exec);
  expect_error(
      ErrorCode::invalid_argument, [&] { check_output_path(dir / "clip.mp4"); }, "ermission");
  fs::permissions(dir.path(), fs::perms::owner_all);
}

TEST(CheckOutputPath, KnowsWhenTheDiskIsTooSmall) {
  const TempDir dir;
  expect_error(
      ErrorCode::invalid_argument, [&] { check_output_path(dir / "x", int64_t{1} << 60); }, "are free", "GB");
}

TEST(WriteAllAt, ReportsAFullDisk) {
  const FileDescriptor full(::open("/dev/full", O_WRONLY));
  ASSERT_TRUE(full);
  expect_error(
      ErrorCode::bad_file, [&] { write_all_at(full.get(), 0, test::to_bytes("x"), "clip.mp4"); }, "[clip.mp4]",
      "the disk is full");
}

}  // namespace
}  // namespace wan::io
