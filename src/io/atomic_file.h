#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "io/file_descriptor.h"

namespace wan::io {

/// A file that appears whole or not at all, even across a power loss. Bytes go to a hidden temporary file in the
/// target's folder; commit() flushes it to the disk, renames it over the target and flushes the folder. Without
/// commit() the destructor removes the temporary file and leaves an existing target as it was.
///
/// A target that is a symbolic link keeps being one: the file that it points to is replaced.
/// Errors: invalid_argument if the path cannot be an output file, bad_file if writing fails.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& target);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  /// Appends.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Overwrites or extends at an offset, for headers whose content is known last.
  void write_at(int64_t offset, std::span<const std::byte> bytes);
  /// Bytes in the file so far.
  int64_t size() const noexcept { return size_; }

  /// The file being written, for writers that want a path (it has the target's extension). Such a writer must have
  /// closed it before commit().
  const std::filesystem::path& temporary_path() const noexcept { return temporary_; }
  const std::filesystem::path& target() const noexcept { return target_; }

  /// Makes the file visible under its name. Call once, as the last thing.
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  FileDescriptor fd_;
  int64_t size_ = 0;
};

/// Finds out before any expensive work whether a file can be made at `path`: its folder exists and takes a new file,
/// the name is not a folder or a device, and `expected_bytes` are free. Leaves nothing behind.
/// Throws invalid_argument saying what to change.
void check_output_path(const std::filesystem::path& path, int64_t expected_bytes = 0);

}  // namespace wan::io
