#include "comm/sockets.h"

#include <gmock/gmock.h>

#include "conformance/communicator.h"
#include "support/ranks.h"

namespace wan::comm {
namespace {

using namespace std::chrono_literals;
using test::on_met_ranks;
using testing::AllOf;
using testing::AnyOf;
using testing::Each;
using testing::HasSubstr;

/// work(communicator, control) on every rank.
template <class Work>
std::vector<std::string> on_sockets(int size, const Work& work, const Place& place = test::new_place()) {
  return on_met_ranks(
      size,
      [&](const std::shared_ptr<Control>& control) {
        const auto comm = make_sockets(control);
        work(*comm, *control);
      },
      test::test_limits(), place);
}

TEST(Sockets, ConformInGroupsOfAnySize) {
  for (int size = 1; size <= 8; ++size)
    EXPECT_THAT(on_sockets(size, [](Communicator& comm, Control&) { check_communicator(comm); }), Each(""));
}

TEST(Sockets, ConformThroughAPort) {
  const int port = port_of(listen_anywhere());
  EXPECT_THAT(on_sockets(3, [](Communicator& comm, Control&) { check_communicator(comm); },
                         {.address = "localhost", .port = port}),
              Each(""));
}

TEST(Sockets, ManyCallsInARow) {
  EXPECT_THAT(on_sockets(3,
                         [](Communicator& comm, Control&) {
                           for (int i = 0; i < 2000; ++i) {
                             std::vector<float> values{static_cast<float>(comm.rank() + i)};
                             comm.all_reduce(values, Reduction::sum, nullptr);
                             ASSERT_EQ(values[0], static_cast<float>(3 + 3 * i));
                           }
                         }),
              Each(""));
}

// More than the system's buffers hold, in both directions at once.
TEST(Sockets, LargeBlocksAndSumsOfMany) {
  EXPECT_THAT(on_sockets(3,
                         [](Communicator& comm, Control&) {
                           check_all_to_all(comm, 5 << 20);
                           check_all_gather(comm, 5 << 20);
                           std::vector<float> values(700001);
                           for (size_t i = 0; i < values.size(); ++i)
                             values[i] = static_cast<float>(i % 1000) + static_cast<float>(comm.rank());
                           comm.all_reduce(values, Reduction::sum, nullptr);
                           for (size_t i = 0; i < values.size(); ++i)
                             ASSERT_EQ(values[i], 3 * static_cast<float>(i % 1000) + 3) << i;
                         }),
              Each(""));
}

// All send before any receives; then what came early is taken in its order.
TEST(Sockets, ARingOfLargeSends) {
  EXPECT_THAT(on_sockets(3,
                         [](Communicator& comm, Control&) {
                           const int right = (comm.rank() + 1) % 3, left = (comm.rank() + 2) % 3;
                           const std::vector<size_t> sizes = {size_t{6} << 20, 0, 10, size_t{3} << 20};
                           for (const size_t n : sizes) comm.send(pattern(comm.rank(), 1, n), right, nullptr);
                           for (const size_t n : sizes) {
                             std::vector<std::byte> got(n, std::byte{0xee});
                             comm.receive(got, left, nullptr);
                             ASSERT_EQ(got, pattern(left, 1, n));
                           }
                           check_all_gather(comm, 100);
                         }),
              Each(""));
}

TEST(Sockets, ARankMayLeaveWhileOthersGoOn) {
  EXPECT_THAT(on_sockets(3,
                         [](Communicator& comm, Control&) {
                           comm.barrier(nullptr);
                           if (comm.rank() == 2) return;
                           std::vector<std::byte> bytes(8 << 20);
                           for (int i = 0; i < 5; ++i) {
                             if (comm.rank() == 0) comm.send(bytes, 1, nullptr);
                             if (comm.rank() == 1) comm.receive(bytes, 0, nullptr);
                           }
                         }),
              Each(""));
}

TEST(Sockets, SplitGroupsWorkSideBySide) {
  EXPECT_THAT(on_sockets(4,
                         [](Communicator& comm, Control&) {
                           const auto half = comm.split(comm.rank() / 2), other = comm.split(comm.rank() % 2);
                           const auto quarter = half->split(half->rank());
                           EXPECT_EQ(quarter->size(), 1);
                           std::thread beside([&] {
                             for (int i = 0; i < 200; ++i) check_all_gather(*other, 1000);
                           });
                           for (int i = 0; i < 200; ++i) check_all_to_all(*half, 1000);
                           beside.join();
                         }),
              Each(""));
}

TEST(Sockets, CallsThatDoNotMatchAreNamed) {
  for (const std::string& error : on_sockets(2, [](Communicator&comm, Control&) {
         std::vector<std::byte> in(comm.rank() == 0 ? 4 : 8), out(2 * in.size());
         comm.all_gather(in, out, nullptr);
       }))
    EXPECT_THAT(error, AllOf(HasSubstr("4 bytes"), HasSubstr("8 bytes"), HasSubstr("all_gather")));
  for (const std::string& error : on_sockets(2, [](Communicator&comm, Control&) {
         std::vector<std::byte> in(4), out(4);
         if (comm.rank() == 0)
           comm.all_to_all(in, out, nullptr);
         else
           comm.barrier(nullptr);
       }))
    EXPECT_THAT(error, AllOf(HasSubstr("all_to_all"), HasSubstr("barrier")));
}

TEST(Sockets, ARankThatFailsEndsThoseThatWaitForItsBytes) {
  const auto errors = on_sockets(3, [](Communicator& comm, Control&) {
    if (comm.rank() == 1) throw Error(ErrorCode::device, "[gpu] broken");
    comm.barrier(nullptr);
  });
  EXPECT_EQ(errors[1], "[gpu] broken");
  EXPECT_THAT(errors[0], AllOf(HasSubstr("rank 1 of 3 on host1"), HasSubstr("[gpu] broken")));
  EXPECT_THAT(errors[2], AllOf(HasSubstr("rank 1 of 3 on host1"), HasSubstr("[gpu] broken")));
}

TEST(Sockets, ARankThatLeavesTooEarlyIsNamed) {
  Limits limits = test::test_limits();
  limits.verdict = 200ms;
  const auto errors = on_met_ranks(
      3,
      [](const std::shared_ptr<Control>& control) {
        const auto comm = make_sockets(control);
        if (comm->rank() == 2) return;
        std::vector<std::byte> bytes(4);
        if (comm->rank() == 0) comm->receive(bytes, 2, nullptr);
        comm->barrier(nullptr);
      },
      limits);
  for (const size_t r : {0, 1}) EXPECT_THAT(errors[r], AllOf(HasSubstr("rank 2 of 3"), HasSubstr("ended its work")));
}

TEST(Sockets, SaysWhatIsWrong) {
  EXPECT_THAT(on_sockets(1,
                         [](Communicator& comm, Control&) {
                           std::vector<std::byte> bytes(4);
                           EXPECT_THROW(comm.receive(bytes, 0, nullptr), Error);
                           EXPECT_THROW(comm.send(bytes, 1, nullptr), Error);
                           EXPECT_THROW(comm.all_gather(bytes, std::span(bytes).first(2), nullptr), Error);
                         }),
              Each(""));
}

}  // namespace
}  // namespace wan::comm
