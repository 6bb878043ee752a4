#include "io/file_descriptor.h"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "core/error.h"

namespace wan::io {
namespace {

// Linux transfers at most about 2 GiB a call; smaller steps also keep a retry cheap.
constexpr size_t max_transfer = size_t{1} << 30;

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

FileDescriptor::~FileDescriptor() { close(); }

int FileDescriptor::close() noexcept {
  const int fd = std::exchange(fd_, -1);
  if (fd < 0 || ::close(fd) == 0 || errno == EINTR) return 0;
  return errno;
}

void read_exact_at(int fd, int64_t offset, std::span<std::byte> out, const std::string& where) {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd, out.data(), std::min(out.size(), max_transfer), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(ErrorCode::bad_file, "[{}] cannot be read at byte {}: {}", where, offset, describe_errno(errno));
    require(n > 0, ErrorCode::bad_file,
            "[{}] ends at byte {}, {} bytes were expected there; it became shorter while it was in use: fetch it again",
            where, offset, out.size());
    out = out.subspan(static_cast<size_t>(n));
    offset += n;
  }
}

void write_all_at(int fd, int64_t offset, std::span<const std::byte> bytes, const std::string& where) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), std::min(bytes.size(), max_transfer), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(ErrorCode::bad_file, "[{}] cannot be written: {}", where, describe_errno(errno));
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += n;
  }
}

std::string describe_errno(int error) {
  const std::string text = std::generic_category().message(error);
  switch (error) {
    case ENOSPC: return text + " (the disk is full: free some space or choose another folder)";
    case EDQUOT: return text + " (your quota is used up: free some space or choose another folder)";
    case EFBIG: return text + " (the file system or a limit does not allow files of this size)";
    case EACCES:
    case EPERM: return text + " (check the permissions or choose another folder)";
    case EROFS: return text + " (choose another folder)";
    default: return text;
  }
}

}  // namespace wan::io
