#include "comm/threads.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "comm/checks.h"
#include "core/error.h"

namespace wan::comm {
namespace {

/// What a rank brings to a collective call.
struct Call {
  const char* name = "";
  size_t bytes = 0;  ///< must be equal on all ranks
  std::span<const std::byte> data;
  int colour = 0;
};

class Group {
 public:
  Group(int size, std::chrono::milliseconds limit)
      : limit_(limit), calls_(static_cast<size_t>(size)), rounds_(calls_.size()), gone_(calls_.size()) {}

  int size() const noexcept { return static_cast<int>(calls_.size()); }
  std::chrono::milliseconds limit() const noexcept { return limit_; }

  /// Waits until all ranks are in a call of the same kind, runs `take` on all of theirs, and waits until all have.
  void collective(int rank, const Call& call, const std::function<void(const std::vector<Call>&)>& take) {
    std::unique_lock lock(mutex_);
    const auto me = static_cast<size_t>(rank);
    calls_[me] = call;
    const uint64_t in = ++rounds_[me];
    changed_.notify_all();
    wait(lock, rank, call.name, in);
    for (size_t r = 0; r < calls_.size(); ++r)
      require(std::string_view(calls_[r].name) == call.name && calls_[r].bytes == call.bytes, ErrorCode::comm,
              "[rank {} of {}] is in {} of {} bytes, rank {} in {} of {} bytes; expected the same call on every rank",
              rank, size(), call.name, call.bytes, r, calls_[r].name, calls_[r].bytes);
    lock.unlock();
    take(calls_);
    lock.lock();
    const uint64_t out = ++rounds_[me];
    changed_.notify_all();
    wait(lock, rank, call.name, out);
  }

  void send(int from, int to, std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    mail_[{from, to}].emplace_back(bytes.begin(), bytes.end());
    changed_.notify_all();
  }
  std::vector<std::byte> receive(int from, int to) {
    std::unique_lock lock(mutex_);
    auto& queue = mail_[{from, to}];
    const bool came =
        changed_.wait_for(lock, limit_, [&] { return !queue.empty() || gone_[static_cast<size_t>(from)]; });
    require(came && !queue.empty(), ErrorCode::comm, "[rank {} of {}] waited for bytes from rank {}, which {}", to,
            size(), from, came ? "has ended" : "did not send them in time");
    std::vector<std::byte> bytes = std::move(queue.front());
    queue.pop_front();
    return bytes;
  }

  void leave(int rank) noexcept {
    const std::lock_guard lock(mutex_);
    gone_[static_cast<size_t>(rank)] = true;
    changed_.notify_all();
  }

  /// The group of the ranks with one colour; the first of them to come makes it. To be called after a collective.
  std::shared_ptr<Group> part(uint64_t call, int colour, int size) {
    const std::lock_guard lock(mutex_);
    auto& part = parts_[{call, colour}];
    if (!part) part = std::make_shared<Group>(size, limit_);
    return part;
  }
  uint64_t round(int rank) {
    const std::lock_guard lock(mutex_);
    return rounds_[static_cast<size_t>(rank)];
  }

 private:
  void wait(std::unique_lock<std::mutex>& lock, int rank, const char* name, uint64_t round) {
    const auto late = [&] {
      return std::ranges::find_if(rounds_, [&](uint64_t r) { return r < round; }) - rounds_.begin();
    };
    const auto there = [&] { return late() == static_cast<ptrdiff_t>(rounds_.size()); };
    const auto hopeless = [&] { return !there() && gone_[static_cast<size_t>(late())]; };
    changed_.wait_for(lock, limit_, [&] { return there() || hopeless(); });
    require(there(), ErrorCode::comm, "[rank {} of {}] waited in {} for rank {}, which {}", rank, size(), name, late(),
            hopeless() ? "has ended" : "did not come in time");
  }

  std::chrono::milliseconds limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Call> calls_;
  std::vector<uint64_t> rounds_;  // per rank: twice the calls that it has left, and 1 more inside one
  std::vector<bool> gone_;
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> mail_;
  std::map<std::pair<uint64_t, int>, std::shared_ptr<Group>> parts_;
};

class Threads final : public Communicator {
 public:
  Threads(std::shared_ptr<Group> group, int rank) : group_(std::move(group)), rank_(rank) {}
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() override { group_->leave(rank_); }

  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return group_->size(); }

  std::unique_ptr<Communicator> split(int colour) override {
    int before = 0, members = 0;
    Call call{"split", 0, {}, colour};
    group_->collective(rank_, call, [&](const std::vector<Call>& calls) {
      for (size_t r = 0; r < calls.size(); ++r) {
        if (calls[r].colour != colour) continue;
        ++members;
        before += static_cast<int>(r) < rank_;
      }
    });
    return std::make_unique<Threads>(group_->part(group_->round(rank_), colour, members), before);
  }

  void all_to_all(std::span<const std::byte> from, std::span<std::byte> to, void*) override {
    const size_t n = static_cast<size_t>(size());
    check(from.size() == to.size() && from.size() % n == 0, "all_to_all", from.size(), to.size());
    const size_t block = from.size() / n;
    group_->collective(rank_, {"all_to_all", block, from}, [&](const std::vector<Call>& calls) {
      for (size_t r = 0; r < n; ++r)
        copy(calls[r].data.subspan(static_cast<size_t>(rank_) * block, block), to.subspan(r * block, block));
    });
  }
  void all_gather(std::span<const std::byte> from, std::span<std::byte> to, void*) override {
    check(to.size() == from.size() * static_cast<size_t>(size()), "all_gather", from.size(), to.size());
    group_->collective(rank_, {"all_gather", from.size(), from}, [&](const std::vector<Call>& calls) {
      for (size_t r = 0; r < calls.size(); ++r) copy(calls[r].data, to.subspan(r * from.size(), from.size()));
    });
  }
  void all_reduce(std::span<float> values, Reduction reduction, void*) override {
    const std::vector<float> mine(values.begin(), values.end());
    const auto bytes = std::as_bytes(std::span(mine));
    group_->collective(rank_, {"all_reduce", bytes.size(), bytes}, [&](const std::vector<Call>& calls) {
      for (size_t i = 0; i < values.size(); ++i) {
        float result = 0;
        for (size_t r = 0; r < calls.size(); ++r) {
          float theirs = 0;
          std::memcpy(&theirs, calls[r].data.data() + i * sizeof theirs, sizeof theirs);
          result = r == 0 ? theirs : reduction == Reduction::sum ? result + theirs : std::max(result, theirs);
        }
        values[i] = result;
      }
    });
  }
  void send(std::span<const std::byte> bytes, int to, void*) override {
    check_peer(to);
    group_->send(rank_, to, bytes);
  }
  void receive(std::span<std::byte> bytes, int from, void*) override {
    check_peer(from);
    const std::vector<std::byte> came = group_->receive(from, rank_);
    check(came.size() == bytes.size(), "receive", came.size(), bytes.size());
    copy(came, bytes);
  }
  void barrier(void*) override {
    group_->collective(rank_, {"barrier", 0, {}}, [](const std::vector<Call>&) {});
  }

 private:
  void check(bool right, const char* name, size_t from, size_t to) const {
    check_bytes(right, rank_, size(), name, from, to);
  }
  void check_peer(int peer) const { comm::check_peer(peer, rank_, size()); }
  static void copy(std::span<const std::byte> from, std::span<std::byte> to) {
    if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
  }

  std::shared_ptr<Group> group_;
  int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_threads(int size, std::chrono::milliseconds limit) {
  require(size > 0, ErrorCode::invalid_argument, "[threads] {} ranks, expected 1 or more", size);
  const auto group = std::make_shared<Group>(size, limit);
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (int r = 0; r < size; ++r) ranks.push_back(std::make_unique<Threads>(group, r));
  return ranks;
}

}  // namespace wan::comm
