#include "wan/convert.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "conversion/manifest.h"
#include "conversion/output_files.h"
#include "core/error.h"
#include "hub/digest.h"
#include "hub/files.h"
#include "hub/speed.h"
#include "io/atomic_file.h"
#include "io/fingerprint.h"
#include "io/printable.h"

namespace wan {
namespace {

namespace fs = std::filesystem;
using conversion::Manifest;
using conversion::OutputFile;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds between_reports{200};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

void check_stop(const ConvertHooks& hooks) {
  if (hooks.cancel != nullptr && *hooks.cancel)
    fail(ErrorCode::cancelled, "[convert] stopped; finished files are kept, and the same call goes on");
}

/// Counts bytes and files, reports them now and then, and ends the work when that is wished.
class Counter {
 public:
  Counter(const ConvertHooks& hooks, int64_t files, int64_t bytes)
      : hooks_(hooks), progress_{.total_bytes = bytes, .total_files = files} {}

  void add_bytes(int64_t bytes) {
    check_stop(hooks_);
    progress_.done_bytes += bytes;
    if (Clock::now() - reported_ > between_reports) report();
  }
  /// `over` bytes were counted that the file turned out not to have.
  void add_file(const std::string& path, int64_t over = 0) {
    progress_.total_bytes -= over;
    ++progress_.done_files;
    if (hooks_.on_file) hooks_.on_file(path);
  }
  void report() {
    reported_ = Clock::now();
    if (!hooks_.on_progress) return;
    progress_.bytes_per_second = speed_.add(progress_.done_bytes);
    progress_.seconds_left =
        progress_.bytes_per_second > 0
            ? static_cast<double>(progress_.total_bytes - progress_.done_bytes) / progress_.bytes_per_second
            : -1;
    hooks_.on_progress(progress_);
  }
  int64_t total_bytes() const noexcept { return progress_.total_bytes; }

 private:
  const ConvertHooks& hooks_;
  ConvertProgress progress_;
  hub::Speed speed_;
  Clock::time_point reported_;
};

// Nullopt if it is not there, or not with this size.
std::optional<std::string> sha256_of(const fs::path& path, int64_t size, const std::function<void(int64_t)>& on_bytes) {
  const io::FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::error_code error;
  if (!fd || static_cast<int64_t>(fs::file_size(path, error)) != size || error) return std::nullopt;
  return hub::hash_file(fd.get(), hub::Digest::Kind::sha256, size, path.string(), on_bytes);
}

class Conversion {
 public:
  Conversion(const ConvertOptions& options, const ConvertHooks& hooks)
      : options_(options),
        hooks_(hooks),
        source_(options.source, {}),
        files_(conversion::output_files(source_, options)) {}

  ConvertResult run() {
    const auto start = Clock::now();
    claim_folder();
    for (const OutputFile& file : files_) bytes_.push_back(file.bytes());
    const std::vector<bool> present = find_present();
    int64_t total = 0, there = 0;
    for (size_t i = 0; i < files_.size(); ++i) {
      total += bytes_[i];
      if (present[i]) there += bytes_[i];
    }
    hub::check_space(options_.output, total - there);
    if (hooks_.on_plan) hooks_.on_plan({options_.output, static_cast<int64_t>(files_.size()), total, there});

    Counter counter(hooks_, static_cast<int64_t>(files_.size()), total);
    int64_t written = 0;
    for (size_t i = 0; i < files_.size(); ++i) {
      if (present[i])
        counter.add_bytes(bytes_[i]);
      else
        written += write(files_[i], bytes_[i], counter);
      counter.add_file(files_[i].path, bytes_[i] - manifest_.files.at(files_[i].path).bytes);
    }
    counter.report();
    return {options_.output, static_cast<int64_t>(files_.size()), counter.total_bytes(), written, seconds_since(start)};
  }

 private:
  // Whatever else is in the folder is not overwritten, and no second process writes there.
  void claim_folder() {
    const fs::path& folder = options_.output;
    const std::string where = folder.string();
    io::Fingerprint key;
    key.add(source_.files().fingerprint());
    key.add(static_cast<int64_t>(options_.layout));
    key.add(int64_t{options_.bf16});
    key.add(options_.shard_bytes);
    hub::make_folders(folder);
    lock_ = io::FileDescriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    require(!lock_ || ::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK, ErrorCode::invalid_argument,
            "[{}] another process converts into this folder; wait for it, or choose another", where);
    auto manifest = Manifest::read(folder);
    if (!manifest) {
      require(fs::is_empty(folder), ErrorCode::invalid_argument,
              "[{}] is not empty, and was not made by a conversion; expected a new folder: choose another, or empty it",
              where);
      manifest.emplace();
      manifest->key = key.hex();
      manifest->write(folder);
    }
    require(manifest->key == key.hex(), ErrorCode::invalid_argument,
            "[{}] holds a conversion of another checkpoint or with other options; choose another folder, or remove it",
            where);
    manifest_ = std::move(*manifest);
  }

  std::vector<bool> find_present() {
    std::vector<bool> present;
    if (!manifest_.files.empty() && hooks_.on_note)
      hooks_.on_note("comparing the files that are there with their sha256");
    for (const OutputFile& file : files_) {
      remove_leftovers((options_.output / file.path).parent_path());
      present.push_back(is_complete(file));
    }
    return present;
  }

  bool is_complete(const OutputFile& file) {
    const fs::path path = options_.output / file.path;
    const auto recorded = manifest_.files.find(file.path);
    if (recorded == manifest_.files.end() || !is_there(path)) return false;
    const auto sha256 = sha256_of(path, recorded->second.bytes, [&](int64_t) { check_stop(hooks_); });
    if (sha256 == recorded->second.sha256) return true;
    if (hooks_.on_note) hooks_.on_note(fmt::format("{} has changed since it was written; writing it again", file.path));
    return false;
  }

  // What a process that was killed left behind (see AtomicFile); this one has the folder to itself.
  static void remove_leftovers(const fs::path& folder) {
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with('.') && entry.path().stem().extension() == ".part") fs::remove(entry.path(), error);
    }
  }

  int64_t write(const OutputFile& file, int64_t expected, Counter& counter) {
    const fs::path path = options_.output / file.path;
    hub::make_folders(path.parent_path());
    io::AtomicFile out(path);
    hub::Hasher hasher(hub::Digest::Kind::sha256, expected);
    file.stream([&](std::span<const std::byte> bytes) {
      out.write(bytes);
      hasher.add(bytes);
      counter.add_bytes(static_cast<int64_t>(bytes.size()));
    });
    manifest_.files[file.path] = {out.size(), hasher.hex()};
    manifest_.write(options_.output);
    const int64_t bytes = out.size();
    out.commit();
    return bytes;
  }

  const ConvertOptions& options_;
  const ConvertHooks& hooks_;
  const engine::ModelsOnDisk source_;
  const std::vector<OutputFile> files_;
  std::vector<int64_t> bytes_;
  io::FileDescriptor lock_;
  Manifest manifest_;
};

void check(const ConvertOptions& options) {
  require(!options.output.empty(), ErrorCode::invalid_argument, "[convert] no folder for the result was given");
  require(options.shard_bytes >= 0, ErrorCode::invalid_argument,
          "[--shard_size] {}; expected some bytes, such as 5GB, or nothing for one file", options.shard_bytes);
  std::error_code error;
  const fs::path from = fs::weakly_canonical(options.source, error), to = fs::weakly_canonical(options.output, error);
  const auto at = std::mismatch(from.begin(), from.end(), to.begin(), to.end());
  require(at.first != from.end(), ErrorCode::invalid_argument,
          "[{}] is the checkpoint's own folder, or lies in it; the checkpoint is not changed in place: choose another",
          options.output.string());
}

}  // namespace

ConvertResult convert(const ConvertOptions& options, const ConvertHooks& hooks) {
  check(options);
  return Conversion(options, hooks).run();
}

ConvertResult verify_converted(const fs::path& folder, const ConvertHooks& hooks) {
  const auto start = Clock::now();
  const auto manifest = Manifest::read(folder);
  require(manifest.has_value(), ErrorCode::bad_file,
          "[{}] has no {}: it was not made by wan convert, so there is nothing to compare with", folder.string(),
          conversion::manifest_name);
  ConvertPlan plan{.output = folder, .files = static_cast<int64_t>(manifest->files.size())};
  for (const auto& [path, recorded] : manifest->files) plan.total_bytes += recorded.bytes;
  if (hooks.on_plan) hooks.on_plan(plan);
  Counter counter(hooks, plan.files, plan.total_bytes);
  std::vector<std::string> problems;
  for (const auto& [path, recorded] : manifest->files) {
    const auto sha256 = sha256_of(folder / path, recorded.bytes, [&](int64_t bytes) { counter.add_bytes(bytes); });
    if (sha256 == recorded.sha256)
      counter.add_file(path);
    else
      problems.push_back(fmt::format("{} {}", path,
                                     sha256                    ? "has other bytes than were written"
                                     : is_there(folder / path) ? "has another size than was written"
                                                               : "is missing"));
  }
  counter.report();
  require(problems.empty(), ErrorCode::bad_file,
          "[{}] {} of {} files are not as they were written; convert again:\n  {}", folder.string(), problems.size(),
          plan.files, fmt::join(problems, "\n  "));
  // No configuration, no checkpoint: a conversion that was stopped is right so far, but not finished.
  io::open_checkpoint(folder);
  return {folder, plan.files, plan.total_bytes, 0, seconds_since(start)};
}

}  // namespace wan
