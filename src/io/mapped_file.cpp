#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "core/error.h"
#include "io/printable.h"

namespace wan::io {
namespace {

FileDescriptor open_for_reading(const std::string& path) {
  for (;;) {
    // O_NONBLOCK: opening a FIFO must not wait for its writer; it is refused right after.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) return FileDescriptor(fd);
    if (errno == EINTR) continue;
    require(errno != ENOENT && errno != ENOTDIR, ErrorCode::bad_file,
            "[{}] there is no such file: check the path, or download the checkpoint again", path);
    fail(ErrorCode::bad_file, "[{}] cannot be opened: {}", path, describe_errno(errno));
  }
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->name_ = path.string();
  file->fd_ = open_for_reading(file->name_);
  struct stat info {};
  if (::fstat(file->fd_.get(), &info) != 0)
    fail(ErrorCode::bad_file, "[{}] cannot be examined: {}", file->name_, describe_errno(errno));
  require(!S_ISDIR(info.st_mode), ErrorCode::bad_file, "[{}] is a folder, a file was expected", file->name_);
  require(S_ISREG(info.st_mode), ErrorCode::bad_file, "[{}] is a device, pipe or socket, a regular file was expected",
          file->name_);
  file->size_ = info.st_size;
  return file;
}

std::shared_ptr<const MappedFile> MappedFile::from_memory(std::string name, std::vector<std::byte> content) {
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->name_ = std::move(name);
  file->memory_ = std::move(content);
  file->size_ = static_cast<int64_t>(file->memory_.size());
  file->data_ = file->memory_.data();
  return file;
}

MappedFile::~MappedFile() {
  // munmap of a range that mmap gave cannot fail.
  if (fd_ && data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), static_cast<size_t>(size_));
}

void MappedFile::read(int64_t offset, std::span<std::byte> out) const {
  check_range(offset, static_cast<int64_t>(out.size()));
  if (fd_)
    read_exact_at(fd_.get(), offset, out, name_);
  else
    std::copy_n(memory_.begin() + offset, out.size(), out.begin());
}

std::vector<std::byte> MappedFile::read(int64_t offset, int64_t size) const {
  check_range(offset, size);
  std::vector<std::byte> out(static_cast<size_t>(size));
  read(offset, out);
  return out;
}

std::span<const std::byte> MappedFile::view(int64_t offset, int64_t size) const {
  check_range(offset, size);
  if (size == 0) return {};
  if (fd_) {
    check_not_shortened();
    std::call_once(mapped_, [this] { map(); });
  }
  return {data_ + offset, static_cast<size_t>(size)};
}

void MappedFile::check_range(int64_t offset, int64_t size) const {
  require(offset >= 0 && size >= 0 && offset <= size_ && size <= size_ - offset, ErrorCode::bad_file,
          "[{}] {} bytes at offset {} were expected, the file has {} bytes: fetch it again", name_, size, offset,
          size_);
}

void MappedFile::check_not_shortened() const {
  struct stat info {};
  if (::fstat(fd_.get(), &info) != 0)
    fail(ErrorCode::bad_file, "[{}] cannot be examined: {}", name_, describe_errno(errno));
  require(info.st_size >= size_, ErrorCode::bad_file, "[{}] became shorter while it was in use ({}): fetch it again",
          name_, human_bytes_of(info.st_size, size_));
}

void MappedFile::map() const {
  void* address = ::mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_SHARED, fd_.get(), 0);
  if (address == MAP_FAILED) {
    const ErrorCode code = errno == ENOMEM ? ErrorCode::out_of_memory : ErrorCode::bad_file;
    fail(code, "[{}] cannot be mapped ({}): {}", name_, human_bytes(size_), describe_errno(errno));
  }
  data_ = static_cast<const std::byte*>(address);
}

}  // namespace wan::io
