#include "comm/threads.h"

#include <gmock/gmock.h>

#include <string>
#include <thread>

#include "conformance/communicator.h"

namespace wan::comm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// Runs work(rank's communicator) on every rank at once and gives the message of each rank's error.
template <class Work>
std::vector<std::string> on_all(int size, const Work& work,
                                std::chrono::milliseconds limit = std::chrono::seconds(20)) {
  auto ranks = make_threads(size, limit);
  std::vector<std::string> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (size_t r = 0; r < ranks.size(); ++r)
    threads.emplace_back([&, r] {
      try {
        work(*ranks[r]);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::comm);
        errors[r] = error.what();
      }
      ranks[r].reset();
    });
  for (std::thread& t : threads) t.join();
  return errors;
}

TEST(Threads, ConformInGroupsOfAnySize) {
  for (int size = 1; size <= 8; ++size)
    for (const std::string& error : on_all(size, [](Communicator& comm) { check_communicator(comm); }))
      EXPECT_EQ(error, "");
}

TEST(Threads, ManyCallsInARow) {
  on_all(3, [](Communicator& comm) {
    for (int i = 0; i < 2000; ++i) {
      std::vector<float> values{static_cast<float>(comm.rank() + i)};
      comm.all_reduce(values, Reduction::sum, nullptr);
      ASSERT_EQ(values[0], static_cast<float>(3 + 3 * i));
    }
  });
}

TEST(Threads, ARankThatEndsIsNamedByTheOthers) {
  const auto errors = on_all(3, [](Communicator& comm) {
    comm.barrier(nullptr);
    if (comm.rank() == 1) return;
    comm.barrier(nullptr);
  });
  EXPECT_THAT(errors[0],
              AllOf(HasSubstr("rank 0 of 3"), HasSubstr("barrier"), HasSubstr("rank 1"), HasSubstr("ended")));
  EXPECT_THAT(errors[2], HasSubstr("rank 1"));
  EXPECT_EQ(errors[1], "");
}

TEST(Threads, ARankThatDoesNotComeIsNamedAfterTheLimit) {
  const auto errors = on_all(
      2,
      [](Communicator& comm) {
        if (comm.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(300));
        std::vector<std::byte> bytes(4);
        if (comm.rank() == 0) comm.receive(bytes, 1, nullptr);
      },
      std::chrono::milliseconds(50));
  EXPECT_THAT(errors[0], AllOf(HasSubstr("from rank 1"), HasSubstr("in time")));
}

TEST(Threads, CallsThatDoNotMatchAreNamedOnEveryRank) {
  for (const std::string& error : on_all(2, [](Communicator& comm) {
         std::vector<std::byte> in(comm.rank() == 0 ? 4 : 8), out(2 * in.size());
         comm.all_gather(in, out, nullptr);
       }))
    EXPECT_THAT(error, AllOf(HasSubstr("4 bytes"), HasSubstr("8 bytes")));
  for (const std::string& error : on_all(2, [](Communicator& comm) {
         std::vector<std::byte> in(4), out(4);
         if (comm.rank() == 0)
           comm.all_to_all(in, out, nullptr);
         else
           comm.barrier(nullptr);
       }))
    EXPECT_THAT(error, AllOf(HasSubstr("all_to_all"), HasSubstr("barrier")));
}

}  // namespace
}  // namespace wan::comm
