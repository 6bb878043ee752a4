#include "io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "io/printable.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& file) {
  const fs::path parent = file.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

// Where the bytes will really go, after checking that a file can be there.
fs::path resolve_target(const fs::path& given) {
  require(!given.empty(), ErrorCode::invalid_argument,
          "[output] the path of the output file is empty: give a file name");
  std::error_code error;
  fs::path target = given;
  if (fs::is_symlink(fs::symlink_status(target, error))) {
    const fs::path resolved = fs::weakly_canonical(target, error);
    require(!error, ErrorCode::invalid_argument, "[{}] is a symbolic link that cannot be followed: {}", given.string(),
            error.message());
    target = resolved;
  }
  const fs::file_status status = fs::status(target, error);
  require(!fs::is_directory(status), ErrorCode::invalid_argument,
          "[{}] is a folder, a file name was expected: add one, such as {}", given.string(),
          (given / "clip.mp4").string());
  require(!fs::exists(status) || fs::is_regular_file(status), ErrorCode::invalid_argument,
          "[{}] is a device, pipe or socket, a regular file was expected: choose another name", given.string());
  const fs::path name = target.filename();
  require(!name.empty() && name != "." && name != "..", ErrorCode::invalid_argument,
          "[{}] has no file name at its end: add one", given.string());
  require(name.native().size() <= 255, ErrorCode::invalid_argument,
          "[{}] the file name has {} bytes, at most 255 are possible: shorten it", given.string(),
          name.native().size());
  const fs::path folder = folder_of(target);
  const fs::file_status folder_status = fs::status(folder, error);
  require(fs::exists(folder_status), ErrorCode::invalid_argument, "[{}] the folder {} does not exist: create it first",
          given.string(), folder.string());
  require(fs::is_directory(folder_status), ErrorCode::invalid_argument, "[{}] {} is not a folder", given.string(),
          folder.string());
  return target;
}

// Hidden, in the same folder (so that rename is atomic), with the target's extension.
fs::path temporary_name(const fs::path& target, std::random_device& random) {
  std::string stem = target.stem().string();
  std::string extension = target.extension().string();
  if (extension.size() > 20) extension.clear();
  if (stem.size() > 200) stem.resize(200);
  return folder_of(target) / fmt::format(".{}.{:08x}.part{}", stem, random(), extension);
}

FileDescriptor create_temporary(const fs::path& target, fs::path& temporary) {
  std::random_device random;
  for (int attempt = 0;; ++attempt) {
    temporary = temporary_name(target, random);
    const int fd = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd >= 0) return FileDescriptor(fd);
    if (errno == EINTR || (errno == EEXIST && attempt < 16)) continue;
    fail(ErrorCode::invalid_argument, "[{}] no file can be made in {}: {}", target.string(), folder_of(target).string(),
         describe_errno(errno));
  }
}

void flush_folder(const fs::path& folder, const std::string& where) {
  const FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd && ::fsync(fd.get()) == 0) return;
  // Some file systems cannot flush a folder; the file is complete and visible by now.
  if (errno == EINVAL || errno == EACCES || errno == ENOTSUP) return;
  fail(ErrorCode::bad_file, "[{}] was written, but its folder could not be flushed to the disk: {}", where,
       describe_errno(errno));
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& target) : target_(resolve_target(target)) {
  fd_ = create_temporary(target_, temporary_);
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::move(other.fd_)),
      size_(other.size_) {}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) { write_at(size_, bytes); }

void AtomicFile::write_at(int64_t offset, std::span<const std::byte> bytes) {
  write_all_at(fd_.get(), offset, bytes, target_.string());
  size_ = std::max(size_, offset + static_cast<int64_t>(bytes.size()));
}

void AtomicFile::commit() {
  const std::string where = target_.string();
  if (::fsync(fd_.get()) != 0)
    fail(ErrorCode::bad_file, "[{}] could not be flushed to the disk: {}", where, describe_errno(errno));
  if (const int error = fd_.close(); error != 0)
    fail(ErrorCode::bad_file, "[{}] cannot be written: {}", where, describe_errno(error));
  if (::rename(temporary_.c_str(), target_.c_str()) != 0)
    fail(ErrorCode::bad_file, "[{}] the finished file could not be given its name: {}", where, describe_errno(errno));
  temporary_.clear();
  flush_folder(folder_of(target_), where);
}

void check_output_path(const fs::path& path, int64_t expected_bytes) {
  const AtomicFile probe(path);
  struct statvfs space {};
  if (expected_bytes <= 0 || ::statvfs(folder_of(probe.target()).c_str(), &space) != 0) return;
  const double free_bytes = static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize);
  require(free_bytes >= static_cast<double>(expected_bytes), ErrorCode::invalid_argument,
          "[{}] about {} will be written but {} are free: free some space or choose another folder", path.string(),
          human_bytes(expected_bytes), human_bytes(static_cast<int64_t>(free_bytes)));
}

}  // namespace wan::io
