#include "hub/partial.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>

#include "core/error.h"
#include "hub/files.h"
#include "hub/owner.h"
#include "io/json.h"

namespace wan::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view idle = "idle";
constexpr std::string_view record_end = ".json";
constexpr std::string_view data_end = ".incomplete";
// An owner on another machine touches its record every twenty seconds; after this long it is gone.
constexpr std::chrono::seconds longest_silence{120};
constexpr int record_format = 1;

bool is_silent(const fs::path& record) {
  std::error_code error;
  const auto written = fs::last_write_time(record, error);
  return error || fs::file_time_type::clock::now() - written > longest_silence;
}

void unlink_file(const fs::path& path) noexcept { ::unlink(path.c_str()); }

std::optional<RangeSet> read_record(const fs::path& path, int64_t size, const Digest& digest) {
  try {
    const nlohmann::json json = io::read_json_file(path, {.max_bytes = 4 << 20, .max_depth = 4, .max_values = 200'000});
    const io::JsonReader record(json, path.string());
    if (record.integer("format") != record_format || record.integer("size") != size ||
        record.string("hash") != digest.hex || !json.contains("done") || !json["done"].is_array())
      return std::nullopt;
    RangeSet done;
    for (const nlohmann::json& range : json["done"]) {
      if (!range.is_array() || range.size() != 2 || !range[0].is_number_integer() || !range[1].is_number_integer())
        return std::nullopt;
      const ByteRange r{range[0].get<int64_t>(), range[1].get<int64_t>()};
      if (r.first < 0 || r.end < r.first || r.end > size) return std::nullopt;
      done.add(r);
    }
    return done;
  } catch (const Error&) {
    return std::nullopt;  // begins anew
  }
}

}  // namespace

struct Partial::Names {
  fs::path folder;
  std::string stem, token, owner;

  fs::path data() const { return folder / fmt::format("{}.{}{}", stem, token, data_end); }
  fs::path record(std::string_view of) const { return folder / fmt::format("{}.{}.{}{}", stem, token, of, record_end); }
  fs::path temporary() const { return folder / fmt::format("{}.{}.new", stem, token); }
};

std::vector<Partial::Names> Partial::find(const fs::path& folder, const std::string& stem) {
  std::vector<Names> found;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(stem + ".") || !name.ends_with(record_end)) continue;
    const std::string middle = name.substr(stem.size() + 1, name.size() - stem.size() - 1 - record_end.size());
    const size_t dot = middle.find('.');
    if (dot == std::string::npos) continue;
    found.push_back({folder, stem, middle.substr(0, dot), middle.substr(dot + 1)});
  }
  return found;
}

Partial::Partial(const Names& names, const RemoteFile& file)
    : data_(names.data()),
      idle_record_(names.record(idle)),
      record_(names.record(own_name())),
      temporary_(names.temporary()),
      size_(file.size),
      digest_(file.digest) {}

std::unique_ptr<Partial> Partial::take_over(const Names& names, const RemoteFile& file) {
  std::unique_ptr<Partial> partial(new Partial(names, file));
  if (::rename(names.record(names.owner).c_str(), partial->record_.c_str()) != 0) {
    partial->gone_ = true;  // another one was faster
    return nullptr;
  }
  partial->touch();
  if (partial->open_existing()) return partial;
  partial->discard();
  return nullptr;
}

bool Partial::open_existing() {
  unlink_file(temporary_);
  auto done = read_record(record_, size_, digest_);
  if (!done) return false;
  fd_ = io::FileDescriptor(::open(data_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  if (!fd_ || ::fstat(fd_.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size != size_) return false;
  done_ = std::move(*done);
  return true;
}

void Partial::begin() {
  if (fd_) return;
  fd_ = io::FileDescriptor(::open(data_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!fd_) fail(ErrorCode::bad_file, "[{}] cannot be made: {}", data_.string(), io::describe_errno(errno));
  if (::ftruncate(fd_.get(), size_) != 0)
    fail(ErrorCode::bad_file, "[{}] cannot have {} bytes: {}", data_.string(), size_, io::describe_errno(errno));
}

std::unique_ptr<Partial> Partial::claim(const fs::path& folder, const std::string& stem, const RemoteFile& file,
                                        const std::function<bool()>& on_busy) {
  for (;;) {
    bool busy = false;
    for (const Names& names : find(folder, stem)) {
      const OwnerState state = names.owner == idle ? OwnerState::gone : state_of(names.owner);
      const bool free =
          state == OwnerState::gone || (state == OwnerState::elsewhere && is_silent(names.record(names.owner)));
      if (!free)
        busy = true;
      else if (auto partial = take_over(names, file))
        return partial;
    }
    if (!busy) break;
    if (on_busy()) return nullptr;
  }
  std::random_device random;
  std::unique_ptr<Partial> partial(new Partial({folder, stem, fmt::format("{:08x}", random()), {}}, file));
  partial->write_record({});  // before the data: that would never be found again without one
  return partial;
}

void Partial::sweep(const fs::path& folder, const std::string& stem) {
  const RemoteFile none{.size = -1};  // fits no record, so take_over() removes what it finds
  for (const Names& names : find(folder, stem))
    if (names.owner == idle || state_of(names.owner) == OwnerState::gone) take_over(names, none);
}

Partial::~Partial() {
  if (gone_) return;
  if (fd_)
    ::rename(record_.c_str(), idle_record_.c_str());
  else
    unlink_file(record_);
}

int64_t Partial::done() const {
  const std::lock_guard lock(mutex_);
  return done_.total();
}

std::vector<ByteRange> Partial::missing() const {
  const std::lock_guard lock(mutex_);
  return done_.missing(size_);
}

void Partial::write(int64_t offset, std::span<const std::byte> bytes) {
  const auto n = static_cast<int64_t>(bytes.size());
  require(offset >= 0 && n <= size_ - offset, ErrorCode::comm, "[{}] more bytes came than the {} announced",
          data_.string(), size_);
  io::write_all_at(fd_.get(), offset, bytes, data_.string());
  const std::lock_guard lock(mutex_);
  done_.add({offset, offset + n});
  changed_ = true;
}

void Partial::write_record(std::span<const ByteRange> done) const {
  nlohmann::json ranges = nlohmann::json::array();
  for (const ByteRange& range : done) ranges.push_back({range.first, range.end});
  const nlohmann::json record = {{"format", record_format}, {"hash", digest_.hex}, {"size", size_}, {"done", ranges}};
  replace_file(record_, record.dump(), temporary_);
}

void Partial::save() {
  const std::lock_guard saving(save_mutex_);
  RangeSet done;
  {
    const std::lock_guard lock(mutex_);
    if (!changed_ || gone_) return;
    changed_ = false;
    done = done_;
  }
  if (::fdatasync(fd_.get()) != 0)
    fail(ErrorCode::bad_file, "[{}] cannot be flushed to the disk: {}", data_.string(), io::describe_errno(errno));
  write_record(done.ranges());
}

void Partial::touch() const { ::utimensat(AT_FDCWD, record_.c_str(), nullptr, 0); }

void Partial::restart() {
  const std::lock_guard saving(save_mutex_);
  const std::lock_guard lock(mutex_);
  done_.clear();
  changed_ = false;
  write_record({});
}

std::string Partial::hash(const std::function<void(int64_t)>& on_bytes) const {
  return hash_file(fd_.get(), digest_.kind, size_, data_.string(), on_bytes);
}

void Partial::move_to(const fs::path& target) {
  const std::lock_guard saving(save_mutex_);
  if (::fsync(fd_.get()) != 0)
    fail(ErrorCode::bad_file, "[{}] cannot be flushed to the disk: {}", data_.string(), io::describe_errno(errno));
  rename_durably(data_, target);
  unlink_file(record_);
  gone_ = true;
  fd_.close();
}

void Partial::discard() {
  const std::lock_guard saving(save_mutex_);
  unlink_file(data_);
  unlink_file(record_);
  gone_ = true;
}

}  // namespace wan::hub
