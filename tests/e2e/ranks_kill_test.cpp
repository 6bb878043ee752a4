// A rank is killed or stopped at a random moment, 100 times: every other one ends within the limit and names it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "process.h"

namespace wan::e2e {
namespace {

using namespace std::chrono_literals;

struct Trial {
  int number, size, victim, signal;
  std::chrono::milliseconds after;
};

/// "" or what went wrong.
std::string run_trial(const Trial& t) {
  std::vector<std::unique_ptr<Process>> ranks;
  for (int r = 0; r < t.size; ++r)
    ranks.push_back(std::make_unique<Process>(
        std::vector<std::string>{WAN_RANK_PROGRAM, "--silence", "3"},
        Process::Environment{{"WAN_RANK", std::to_string(r)},
                             {"WAN_WORLD_SIZE", std::to_string(t.size)},
                             {"WAN_JOB", "kill " + std::to_string(getpid()) + " " + std::to_string(t.number)}}));
  const std::string what = fmt::format("trial {}: signal {} to rank {} of {} after {} ms: ", t.number, t.signal,
                                       t.victim, t.size, t.after.count());
  for (auto& rank : ranks)
    if (!rank->wait_for_stderr("working", 60s)) return what + "a rank does not start: " + rank->finish(1s).err;
  std::this_thread::sleep_for(t.after);
  ranks[static_cast<size_t>(t.victim)]->signal(t.signal);
  const std::string name = fmt::format("rank {} of {} on ", t.victim, t.size);
  for (int r = 0; r < t.size; ++r) {
    if (r == t.victim) continue;
    const Outcome end = ranks[static_cast<size_t>(r)]->finish(60s);
    if (end.status != 1 || end.err.find("error: [ranks] " + name) == std::string::npos ||
        end.err.find("last state: step") == std::string::npos)
      return what + fmt::format("rank {} ended with {} and said: {}", r, end.status, end.err);
  }
  return "";
}

void run_trials(int signal, int count) {
  std::mt19937 random(static_cast<unsigned>(signal));
  std::vector<Trial> trials;
  for (int i = 0; i < count; ++i) {
    const int size = 2 + static_cast<int>(random() % 3);
    trials.push_back({signal * 1000 + i, size, static_cast<int>(random() % static_cast<unsigned>(size)), signal,
                      std::chrono::milliseconds(50 + random() % 50)});
  }
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (size_t i; (i = next++) < trials.size();) {
        const std::string problem = run_trial(trials[i]);
        const std::lock_guard lock(mutex);
        EXPECT_EQ(problem, "");
      }
    });
  for (std::thread& t : threads) t.join();
}

TEST(RanksAtRandom, KilledIsNamedByTheOthers) { run_trials(SIGKILL, 50); }
TEST(RanksAtRandom, StoppedIsNamedByTheOthers) { run_trials(SIGSTOP, 50); }

}  // namespace
}  // namespace wan::e2e
