#include "hub/transfer.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "core/error.h"
#include "io/printable.h"

namespace wan::hub {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds tick{200};
constexpr std::chrono::duration<double> between_saves{0.1};
constexpr std::chrono::seconds between_touches{20};
constexpr int most_wrong_contents = 2;

}  // namespace

Transfer::Transfer(Session& session, Source& source, const Layout& layout, std::vector<std::unique_ptr<Task>> tasks)
    : session_(session), source_(source), layout_(layout), tasks_(std::move(tasks)) {
  for (const auto& task : tasks_) add_items(*task);
}

Transfer::~Transfer() = default;

// What is missing of a file, in pieces. A file of which nothing is missing has one empty piece, so that it is finished.
void Transfer::add_items(Task& task) {
  const auto add = [&](ByteRange range) {
    queue_.push_back({&task, range, task.generation});
    ++task.open_items;
  };
  task.open_items = 0;
  for (const ByteRange& gap : task.partial->missing()) {
    if (task.in_one_go) {
      add(gap);
      continue;
    }
    for (int64_t first = gap.first; first < gap.end; first += piece_bytes)
      add({first, std::min(gap.end, first + piece_bytes)});
  }
  if (task.open_items == 0) add({});
}

void Transfer::run(int connections, const std::function<void(const TransferState&)>& on_tick) {
  std::vector<std::jthread> threads;
  std::jthread keeper;
  std::exception_ptr failure;
  try {
    keeper = std::jthread([this] { keep_records(); });
    for (int i = 0; i < connections; ++i) threads.emplace_back([this] { work(); });
    std::unique_lock lock(mutex_);
    while (complete_ < tasks_.size() && !session_.stopped()) {
      changed_.wait_for(lock, tick);
      lock.unlock();
      on_tick(state());
      lock.lock();
    }
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure || session_.stopped()) session_.stop();
  threads.clear();
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  keeper = {};
  for (const auto& task : tasks_)
    if (!task->complete) task->partial->save();
  if (failure_) failure = failure_;
  if (session_.cancelled()) session_.check();
  if (failure) std::rethrow_exception(failure);
  session_.check();
  on_tick(state());
}

void Transfer::give_up() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
  }
  session_.stop();
  changed_.notify_all();
}

// Makes what has come survive a crash, soon after it came but without spending most of the time on flushing.
void Transfer::keep_records() {
  auto touched = Clock::now();
  std::chrono::duration<double> pause{0};
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::max(between_saves, pause), [this] { return over_; });
      if (over_) return;
    }
    const auto start = Clock::now();
    const bool touch = start - touched > between_touches;
    if (touch) touched = start;
    try {
      for (const auto& task : tasks_) {
        task->partial->save();
        if (touch) task->partial->touch();
      }
    } catch (...) {
      give_up();
      return;
    }
    pause = 4 * (Clock::now() - start);
  }
}

TransferState Transfer::state() const {
  const std::lock_guard lock(mutex_);
  TransferState state;
  for (const auto& task : tasks_) {
    state.done_bytes += task->complete ? task->file.size : task->partial->done();
    state.hashed_bytes += task->hashed;
    state.done_files += task->complete ? 1 : 0;
  }
  return state;
}

void Transfer::work() {
  try {
    HttpClient client(session_.settings().answer_timeout);
    for (Item item; next(item);) {
      fetch(client, item);
      close_item(item);
    }
  } catch (...) {
    give_up();
  }
}

// False when there will be no more.
bool Transfer::next(Item& item) {
  std::unique_lock lock(mutex_);
  while (complete_ < tasks_.size()) {
    if (session_.stopped()) return false;
    const auto found = std::ranges::find_if(queue_, [this](const Item& i) { return may_begin(*i.task); });
    if (found != queue_.end()) {
      item = *found;
      queue_.erase(found);
      if (item.generation == item.task->generation) return true;
      continue;
    }
    changed_.wait_for(lock, tick);
  }
  return false;
}

// Files that become others come one after the other: the disk must not hold several of them in both forms.
bool Transfer::may_begin(const Task& task) const {
  if (!task.converts) return true;
  const auto first = std::ranges::find_if(tasks_, [](const auto& t) { return t->converts && !t->complete; });
  return first != tasks_.end() && first->get() == &task;
}

bool Transfer::is_current(const Item& item) {
  const std::lock_guard lock(mutex_);
  return item.generation == item.task->generation;
}

void Transfer::close_item(const Item& item) {
  {
    const std::lock_guard lock(mutex_);
    if (item.generation != item.task->generation || --item.task->open_items > 0) return;
  }
  finish(*item.task);
}

// All bytes are there: only now, and always, the content is hashed.
void Transfer::finish(Task& task) {
  const std::string hash = task.partial->hash([&](int64_t bytes) {
    session_.check();
    const std::lock_guard lock(mutex_);
    task.hashed += bytes;
  });
  if (hash != task.file.digest.hex) {
    const char* const kind = task.file.digest.kind == Digest::Kind::sha256 ? "sha256" : "git hash";
    bool again = false;
    {
      const std::lock_guard lock(mutex_);
      again = ++task.wrong_content < most_wrong_contents;
      task.hashed = 0;
      task.link.clear();
      ++task.generation;
      task.partial->restart();
      if (again) add_items(task);
    }
    require(
        again, ErrorCode::comm,
        "[{}] has the {} {} after {} downloads, the hub promised {}: what came was thrown away; check the network, or "
        "try again later",
        io::printable(task.file.path), kind, hash, most_wrong_contents, task.file.digest.hex);
    session_.note(fmt::format("{}: its {} is wrong; fetching it again", io::printable(task.file.path), kind));
    changed_.notify_all();
    return;
  }
  layout_.take(*task.partial, task.file, [this](int64_t) { session_.check(); });
  task.on_complete();
  {
    const std::lock_guard lock(mutex_);
    task.complete = true;
    ++complete_;
  }
  changed_.notify_all();
}

void Transfer::fall_back_to_one_go(const Item& item) {
  {
    const std::lock_guard lock(mutex_);
    if (item.generation != item.task->generation) return;  // another worker was faster
    Task& task = *item.task;
    ++task.generation;
    task.in_one_go = true;
    task.partial->restart();
    add_items(task);
  }
  session_.note(
      fmt::format("{}: the server ignores ranges; fetching the file in one go", io::printable(item.task->file.path)));
  changed_.notify_all();
}

std::string Transfer::link_of(HttpClient& client, Task& task) {
  {
    const std::lock_guard lock(mutex_);
    if (!task.link.empty()) return task.link;
  }
  std::string link = source_.locate(client, task.file);
  const std::lock_guard lock(mutex_);
  return task.link = std::move(link);
}

void Transfer::forget_link(Task& task, const std::string& link) {
  const std::lock_guard lock(mutex_);
  if (task.link == link) task.link.clear();
}

}  // namespace wan::hub
