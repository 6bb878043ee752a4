#pragma once
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>

namespace wan::test {

/// Two queues of a device whose work runs at random moments, as late as the waits allow: a wait that is missing shows.
class SimulatedQueues {
 public:
  using Marks = std::map<int64_t, std::shared_ptr<bool>>;

  explicit SimulatedQueues(unsigned seed) : random_(seed) {}

  /// Puts work into a queue; some of what waits in either may run now.
  void ask(size_t queue, std::function<void()> work) {
    queues_[queue].push_back({std::move(work), [] { return true; }});
    const size_t steps = random_() % 4, favoured = random_() % 2;
    for (size_t i = 0; i < steps; ++i) step(favoured);
  }
  /// marks[slot] is what was put into the queue so far.
  void mark(size_t queue, Marks& marks, int64_t slot) {
    const auto done = std::make_shared<bool>(false);
    marks[slot] = done;
    queues_[queue].push_back({[=] { *done = true; }, [] { return true; }});
  }
  /// What comes into the queue later waits for marks[slot], if there is one.
  void hold(size_t queue, const Marks& marks, int64_t slot) {
    const auto found = marks.find(slot);
    if (found != marks.end()) queues_[queue].push_back({[] {}, [done = found->second] { return *done; }});
  }
  template <class Done>
  void run_until(const Done& done) {
    while (!done()) {
      const size_t first = random_() % 2;
      ASSERT_TRUE(step(first) || step(1 - first)) << "the queues wait for each other";
    }
  }
  void finish(size_t queue) {
    run_until([&] { return queues_[queue].empty(); });
  }
  void finish_all() {
    run_until([&] { return queues_[0].empty() && queues_[1].empty(); });
  }

 private:
  struct Item {
    std::function<void()> work;
    std::function<bool()> ready;
  };
  bool step(size_t queue) {
    if (queues_[queue].empty() || !queues_[queue].front().ready()) return false;
    const Item item = std::move(queues_[queue].front());
    queues_[queue].pop_front();
    item.work();
    return true;
  }

  std::array<std::deque<Item>, 2> queues_;
  std::mt19937 random_;
};

}  // namespace wan::test
