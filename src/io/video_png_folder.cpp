#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <random>
#include <system_error>

#include "core/error.h"
#include "io/file_descriptor.h"
#include "io/png_text.h"
#include "io/video_writers.h"

namespace wan::io::writers {
namespace {

namespace fs = std::filesystem;

/// frame_00000.png, with more digits where needed, or wan.json.
bool is_ours(const fs::path& file) {
  const std::string name = file.filename().string();
  if (name == "wan.json") return true;
  return name.size() >= 15 && name.starts_with("frame_") && name.ends_with(".png") &&
         std::all_of(name.begin() + 6, name.end() - 4, [](char c) { return c >= '0' && c <= '9'; });
}

/// The folder itself, without a trailing slash, and with symbolic links followed.
fs::path resolve(const fs::path& path) {
  fs::path folder = path.has_filename() ? path : path.parent_path();
  std::error_code error;
  if (fs::is_symlink(fs::symlink_status(folder, error))) folder = fs::weakly_canonical(folder, error);
  return folder;
}

fs::path parent_of(const fs::path& folder) { return folder.has_parent_path() ? folder.parent_path() : fs::path("."); }

void check_target(const fs::path& folder) {
  const std::string where = folder.string();
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (fs::exists(status)) {
    require(fs::is_directory(status), ErrorCode::invalid_argument,
            "[{}] exists and is no folder; choose another name for the folder of PNG frames", where);
    for (const auto& entry : fs::directory_iterator(folder, error))
      require(is_ours(entry.path()), ErrorCode::invalid_argument,
              "[{}] holds {}, which is no frame of an earlier video; choose a new or empty folder", where,
              entry.path().filename().string());
    require(!error, ErrorCode::invalid_argument, "[{}] cannot be read: {}", where, error.message());
  }
  require(fs::is_directory(parent_of(folder), error), ErrorCode::invalid_argument,
          "[{}] the folder {} does not exist: create it first", where, parent_of(folder).string());
}

/// A hidden folder beside `target`, created now, with a name that nothing else uses.
fs::path make_beside(const fs::path& target) {
  std::random_device random;
  for (int attempt = 0;; ++attempt) {
    fs::path path = parent_of(target) / fmt::format(".{}.{:08x}.part", target.filename().string(), random());
    if (::mkdir(path.c_str(), 0777) == 0) return path;
    if (errno == EEXIST && attempt < 16) continue;
    fail(ErrorCode::invalid_argument, "[{}] no folder can be made in {}: {}", target.string(),
         parent_of(target).string(), describe_errno(errno));
  }
}

void flush_folder(const fs::path& folder) {
  const FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) ::fsync(fd.get());
}

/// Owns the temporary folder until it has its final name.
class PngFolderWriter final : public VideoWriter {
 public:
  PngFolderWriter(const fs::path& path, const VideoParams& params) : params_(params), target_(resolve(path)) {
    check_target(target_);
    temporary_ = make_beside(target_);
  }
  ~PngFolderWriter() override {
    std::error_code ignored;
    if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
  }

  void write(std::span<const uint8_t> rgb) override {
    check_frame(rgb, params_, target_);
    save(fmt::format("frame_{:05}.png", frames_), encode_png(rgb, params_.width, params_.height, params_.metadata));
    ++frames_;
  }

  void finish() override {
    check_not_empty(frames_, target_);
    if (!params_.metadata.empty()) save("wan.json", std::as_bytes(std::span(params_.metadata)));
    flush_folder(temporary_);
    check_target(target_);  // it may have been filled meanwhile
    replace_target();
    flush_folder(parent_of(target_));
  }

 private:
  void save(const std::string& name, std::span<const std::byte> bytes) const {
    const fs::path path = temporary_ / name;
    const std::string where = (target_ / name).string();
    FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!fd) fail(ErrorCode::bad_file, "[{}] cannot be written: {}", where, describe_errno(errno));
    write_all_at(fd.get(), 0, bytes, where);
    int error = ::fsync(fd.get()) == 0 ? 0 : errno;
    if (const int closing = fd.close(); error == 0) error = closing;
    require(error == 0, ErrorCode::bad_file, "[{}] cannot be written: {}", where, describe_errno(error));
  }

  // rename() replaces nothing but an empty folder, so an earlier video is swapped out and then removed. File systems
  // that cannot swap see a moment without the folder.
  void replace_target() {
    if (::rename(temporary_.c_str(), target_.c_str()) == 0) {
      temporary_.clear();
      return;
    }
    if (errno == EEXIST || errno == ENOTEMPTY) {
      if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) == 0) return;
      const fs::path aside = make_beside(target_);
      if (::rename(target_.c_str(), aside.c_str()) == 0) {
        if (::rename(temporary_.c_str(), target_.c_str()) == 0) {
          temporary_ = aside;
          return;
        }
        const int error = errno;
        ::rename(aside.c_str(), target_.c_str());
        errno = error;
      }
    }
    fail(ErrorCode::bad_file, "[{}] the finished folder could not be given its name: {}", target_.string(),
         describe_errno(errno));
  }

  VideoParams params_;
  fs::path target_;
  fs::path temporary_;
  int64_t frames_ = 0;
};

}  // namespace

void check_png_folder(const fs::path& path) {
  const fs::path target = resolve(path);
  check_target(target);
  std::error_code ignored;
  fs::remove(make_beside(target), ignored);
}

std::unique_ptr<VideoWriter> make_png_folder(const fs::path& path, const VideoParams& params) {
  return std::make_unique<PngFolderWriter>(path, params);
}

}  // namespace wan::io::writers
