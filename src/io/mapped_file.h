#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "io/file_descriptor.h"

namespace wan::io {

/// A regular file open for reading, by copy or in place.
///
/// A file that another program truncates while it is in use must not kill us with SIGBUS:
/// - read() copies with pread, which reports the missing bytes; it is always safe, and parsers use nothing else.
/// - view() maps the file (once, at first use) and gives its bytes in place. It compares the file's size now with the
///   size at opening, and throws if the file became shorter. What remains is a race: truncation between that check and
///   the use of the bytes. Weights are written once and then only read, so this needs somebody to overwrite a
///   checkpoint during a run; whoever cannot exclude that uses read().
///
/// Thread-safe. Errors: bad_file; out_of_memory if the address space does not suffice to map.
class MappedFile {
 public:
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  /// The same interface over bytes in memory, for tests and fuzzers.
  static std::shared_ptr<const MappedFile> from_memory(std::string name, std::vector<std::byte> content);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  /// The path, for messages.
  const std::string& name() const noexcept { return name_; }
  /// Bytes in the file when it was opened.
  int64_t size() const noexcept { return size_; }

  void read(int64_t offset, std::span<std::byte> out) const;
  /// A copy of `size` bytes. The caller has checked that `size` is reasonable.
  std::vector<std::byte> read(int64_t offset, int64_t size) const;
  /// In place; valid as long as this object. Any alignment.
  std::span<const std::byte> view(int64_t offset, int64_t size) const;

 private:
  MappedFile() = default;
  void check_range(int64_t offset, int64_t size) const;
  void check_not_shortened() const;
  void map() const;

  std::string name_;
  int64_t size_ = 0;
  FileDescriptor fd_;
  std::vector<std::byte> memory_;
  mutable std::once_flag mapped_;
  mutable const std::byte* data_ = nullptr;
};

}  // namespace wan::io
