#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "hub/layout.h"
#include "hub/partial.h"
#include "hub/session.h"
#include "hub/source.h"

namespace wan::hub {

/// A file under way.
struct Task {
  RemoteFile file;
  std::unique_ptr<Partial> partial;
  std::function<void()> on_complete;  ///< called from a worker when the file is verified and at home

  // Guarded by Transfer's mutex.
  int generation = 0;      ///< raised at a start from zero: what belongs to an older one is dropped
  bool in_one_go = false;  ///< the server ignores ranges
  int open_items = 0;
  int wrong_content = 0;  ///< times that the hash was wrong
  bool complete = false;
  bool converts = false;  ///< not guarded: see Layout::converts
  std::string link;       ///< where the bytes are; empty: to be asked
  int64_t hashed = 0;
};

struct TransferState {
  int64_t done_bytes = 0, hashed_bytes = 0, done_files = 0;
};

/// Fetches files in pieces over several connections, verifies them, and puts them into their places.
class Transfer {
 public:
  /// What one request asks for at most; few requests, because hubs count them.
  static constexpr int64_t piece_bytes = int64_t{64} << 20;

  Transfer(Session& session, Source& source, const Layout& layout, std::vector<std::unique_ptr<Task>> tasks);
  ~Transfer();

  /// Returns when all files are in their places; throws the first failure after all connections have ended. Whatever
  /// has come is recorded. `on_tick` is called some five times a second from this thread.
  void run(int connections, const std::function<void(const TransferState&)>& on_tick);

  /// Bytes received by run(), of failed attempts too.
  int64_t received_bytes() const noexcept { return received_; }

 private:
  struct Item {
    Task* task = nullptr;
    ByteRange range;
    int generation = 0;
  };
  struct Attempt;

  void work();
  bool next(Item& item);
  void add_items(Task& task);
  bool may_begin(const Task& task) const;
  void fetch(HttpClient& client, const Item& item);
  void attempt(HttpClient& client, const Item& item, Attempt& state);
  HttpAnswer send(HttpClient& client, const Item& item, Attempt& state, const std::string& url);
  bool accept_head(const HttpHead& head, const Item& item, Attempt& state);
  bool accept_body(std::span<const std::byte> bytes, const Item& item, Attempt& state);
  std::string link_of(HttpClient& client, Task& task);
  void forget_link(Task& task, const std::string& link);
  bool is_current(const Item& item);
  void fall_back_to_one_go(const Item& item);
  void close_item(const Item& item);
  void finish(Task& task);
  void give_up() noexcept;
  void keep_records();
  TransferState state() const;

  Session& session_;
  Source& source_;
  const Layout& layout_;
  std::vector<std::unique_ptr<Task>> tasks_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // the queue, or the number of tasks that are complete
  std::deque<Item> queue_;
  size_t complete_ = 0;
  std::exception_ptr failure_;
  bool over_ = false;
  std::atomic<int64_t> received_{0};
};

}  // namespace wan::hub
