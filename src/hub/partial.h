#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "hub/range_set.h"
#include "hub/source.h"
#include "io/file_descriptor.h"

namespace wan::hub {

/// A file that is coming, in pieces in any order, and survives the end of this process in any way. On the disk it is
///   STEM.TOKEN.incomplete          the data, at its full length from the start (sparse)
///   STEM.TOKEN.OWNER.json          which ranges of it are there for sure; OWNER is the process that may write, or
///   "idle"
/// A range is in the record only after its bytes have been flushed. One process at a time owns both: taking over what
/// a process left that is gone is a rename of the record, which only one of several can win, on network file systems
/// too. Thread-safe once claimed.
class Partial {
 public:
  /// Takes over what is there of `file` in `folder`, or begins anew. While a living process has it, calls `on_busy`
  /// about once a second: it returns false to go on waiting, true to give up (nullptr then), or throws.
  static std::unique_ptr<Partial> claim(const std::filesystem::path& folder, const std::string& stem,
                                        const RemoteFile& file, const std::function<bool()>& on_busy);
  /// Removes what processes that are gone left of a file that is complete.
  static void sweep(const std::filesystem::path& folder, const std::string& stem);

  /// Gives the record back, for any later process to go on; removes it if nothing has begun.
  ~Partial();
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  /// Makes the data file, if there is none yet. Before the first write().
  void begin();
  int64_t size() const noexcept { return size_; }
  /// Where the data are.
  const std::filesystem::path& path() const noexcept { return data_; }
  int64_t done() const;
  std::vector<ByteRange> missing() const;

  /// Bytes at `offset`; never past the size.
  void write(int64_t offset, std::span<const std::byte> bytes);
  /// Flushes the data and then records what is there; does nothing if nothing has come since.
  void save();
  /// Tells other machines that the owner lives.
  void touch() const;
  /// Forgets everything, for a start from zero.
  void restart();
  /// Of the whole file, read back from the disk.
  std::string hash(const std::function<void(int64_t)>& on_bytes) const;
  /// Gives the verified data its final name in a folder of the same file system.
  void move_to(const std::filesystem::path& target);
  /// Removes data and record.
  void discard();

 private:
  struct Names;
  Partial(const Names& names, const RemoteFile& file);
  bool open_existing();
  void write_record(std::span<const ByteRange> done) const;
  static std::vector<Names> find(const std::filesystem::path& folder, const std::string& stem);
  static std::unique_ptr<Partial> take_over(const Names& names, const RemoteFile& file);

  const std::filesystem::path data_, idle_record_, record_, temporary_;
  const int64_t size_;
  const Digest digest_;
  io::FileDescriptor fd_;
  mutable std::mutex mutex_;       // done_ and changed_
  mutable std::mutex save_mutex_;  // one save at a time; taken before mutex_
  RangeSet done_;
  bool changed_ = false;
  bool gone_ = false;  // moved or discarded
};

}  // namespace wan::hub
