#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace wan::io {

/// Owns an open POSIX file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) noexcept : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  /// Closes now; returns 0 or the errno of close(), which may be the first report of a failed write.
  int close() noexcept;

 private:
  int fd_ = -1;
};

/// Reads exactly out.size() bytes at `offset`. `where` names the file in errors. A file that ends early
/// throws bad_file, unlike a mapping, which would raise SIGBUS.
void read_exact_at(int fd, int64_t offset, std::span<std::byte> out, const std::string& where);

/// Writes all bytes at `offset`, or throws bad_file naming the reason (disk full, quota, I/O error).
void write_all_at(int fd, int64_t offset, std::span<const std::byte> bytes, const std::string& where);

/// The text of an errno value, and what to do about it where that is known.
std::string describe_errno(int error);

}  // namespace wan::io
