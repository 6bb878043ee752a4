#include "hub/files.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <span>

#include "core/error.h"
#include "io/file_descriptor.h"
#include "io/printable.h"

namespace wan::hub {
namespace {

namespace fs = std::filesystem;

void flush_folder(const fs::path& folder) {
  const io::FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd && ::fsync(fd.get()) == 0) return;
  if (errno == EINVAL || errno == EACCES || errno == ENOTSUP) return;  // some file systems cannot
  fail(ErrorCode::bad_file, "[{}] cannot be flushed to the disk: {}", folder.string(), io::describe_errno(errno));
}

}  // namespace

void make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  require(!error && fs::is_directory(folder, error), ErrorCode::invalid_argument, "[{}] cannot be made: {}",
          folder.string(), error ? io::describe_errno(error.value()) : "something else has this name");
}

void replace_file(const fs::path& path, std::string_view text, const fs::path& temporary) {
  io::FileDescriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!fd) fail(ErrorCode::bad_file, "[{}] cannot be written: {}", temporary.string(), io::describe_errno(errno));
  io::write_all_at(fd.get(), 0, std::as_bytes(std::span(text)), path.string());
  if (::fsync(fd.get()) != 0)
    fail(ErrorCode::bad_file, "[{}] cannot be flushed to the disk: {}", path.string(), io::describe_errno(errno));
  fd.close();
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    fail(ErrorCode::bad_file, "[{}] cannot be given its name: {}", path.string(), io::describe_errno(errno));
}

void rename_durably(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    fail(ErrorCode::bad_file, "[{}] the finished file could not be given its name: {}", to.string(),
         io::describe_errno(errno));
  flush_folder(to.parent_path());
}

void check_space(const fs::path& folder, int64_t bytes) {
  fs::path existing = fs::absolute(folder);
  std::error_code error;
  while (!fs::exists(existing, error) && existing.has_relative_path()) existing = existing.parent_path();
  struct statvfs space {};
  if (::statvfs(existing.c_str(), &space) != 0) return;
  const double free = static_cast<double>(space.f_bavail) * static_cast<double>(space.f_frsize);
  require(free >= static_cast<double>(bytes), ErrorCode::invalid_argument,
          "[{}] {} are still to come and {} are free: free some space or choose another folder", folder.string(),
          io::human_bytes(bytes), io::human_bytes(static_cast<int64_t>(free)));
}

}  // namespace wan::hub
