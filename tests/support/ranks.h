#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "comm/control.h"
#include "wan/error.h"

namespace wan::test {

/// A place on this machine that no other test has.
inline comm::Place new_place() {
  static std::atomic<int> count{0};
  return {.job = "test " + std::to_string(getpid()) + " " + std::to_string(count++)};
}

inline comm::Hello hello_of(int rank, int size, std::vector<comm::Trait> same = {}) {
  return {.size = size,
          .member = {.rank = rank, .process = getpid(), .host = "host" + std::to_string(rank)},
          .same = std::move(same)};
}

/// Short ones, but long enough for a machine that is busy with other tests.
inline comm::Limits test_limits() {
  using namespace std::chrono_literals;
  return {.join = 20s, .silence = 20s, .stall = 0s, .beat = 50ms, .verdict = 5s, .unheeded = 20s};
}

/// Runs work(rank) on a thread per rank; the message of each rank's error, or "".
template <class Work>
std::vector<std::string> on_ranks(int size, const Work& work) {
  std::vector<std::string> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r)
    threads.emplace_back([&, r] {
      try {
        work(r);
      } catch (const Error& error) {
        errors[static_cast<size_t>(r)] = error.what();
      }
    });
  for (std::thread& t : threads) t.join();
  return errors;
}

/// The same with the rank's control connection: work(control).
template <class Work>
std::vector<std::string> on_met_ranks(int size, const Work& work, const comm::Limits& limits = test_limits(),
                                      const comm::Place& place = new_place()) {
  return on_ranks(size, [&](int r) {
    const auto control = comm::Control::meet(place, hello_of(r, size), limits);
    try {
      work(control);
    } catch (const Error& error) {
      control->fail(error.code(), error.what());
      throw;
    }
  });
}

}  // namespace wan::test
