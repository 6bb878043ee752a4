#pragma once
#include <chrono>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "comm/threads.h"

namespace wan::test {

/// Runs work(world) on `size` ranks that are threads, and gives the message of each one's error ("" for none). A rank
/// that fails leaves its group.
template <class Work>
std::vector<std::string> on_ranks(int size, const Work& work,
                                  std::chrono::milliseconds limit = std::chrono::seconds(120)) {
  auto ranks = comm::make_threads(size, limit);
  std::vector<std::string> errors(ranks.size());
  std::vector<std::jthread> threads;
  for (size_t r = 0; r < ranks.size(); ++r)
    threads.emplace_back([&, r] {
      try {
        work(*ranks[r]);
      } catch (const std::exception& error) {
        errors[r] = error.what();
      }
      ranks[r].reset();
    });
  threads.clear();  // joins
  return errors;
}

}  // namespace wan::test
