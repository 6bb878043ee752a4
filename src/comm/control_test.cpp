#include "comm/control.h"

#include <gmock/gmock.h>
#include <poll.h>

#include <future>

#include "comm/rendezvous.h"
#include "support/expect_error.h"
#include "support/ranks.h"

namespace wan::comm {
namespace {

using namespace std::chrono_literals;
using test::hello_of;
using test::new_place;
using test::on_met_ranks;
using test::on_ranks;
using test::test_limits;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

void sleep(milliseconds t) { std::this_thread::sleep_for(t); }

/// Works on until the job ends.
[[noreturn]] void work_on(Control& control) {
  for (;; sleep(5ms)) control.tick();
}

void bytes_of_all_come_to_all(const Place& place, int size) {
  EXPECT_THAT(on_met_ranks(
                  size,
                  [&](const auto& control) {
                    EXPECT_EQ(control->size(), size);
                    ASSERT_EQ(control->members().size(), static_cast<size_t>(size));
                    EXPECT_EQ(control->members().back().host, "host" + std::to_string(size - 1));
                    for (int i = 0; i < 5; ++i) {
                      const Bytes mine(static_cast<size_t>(control->rank() + i), std::byte{7});
                      const auto all = control->gather(mine);
                      ASSERT_EQ(all.size(), static_cast<size_t>(size));
                      for (size_t r = 0; r < all.size(); ++r) EXPECT_EQ(all[r].size(), r + static_cast<size_t>(i));
                    }
                  },
                  test_limits(), place),
              Each(""));
}

TEST(Control, RanksMeetByAName) {
  for (const int size : {1, 2, 3, 8}) bytes_of_all_come_to_all(new_place(), size);
}

TEST(Control, RanksMeetAtAPort) {
  const int port = port_of(listen_anywhere());  // free a moment ago
  bytes_of_all_come_to_all({.address = "127.0.0.1", .port = port}, 3);
}

TEST(Control, ARankThatDiffersEndsAllWithWhatDiffers) {
  const Place place = new_place();
  const auto errors = on_ranks(3, [&](int r) {
    Control::meet(place, hello_of(r, 3, {{"program", "1"}, {"model", r == 1 ? "cats" : "dogs"}}), test_limits());
  });
  EXPECT_THAT(errors, Each(AllOf(HasSubstr("rank 1 of 3 on host1"), HasSubstr("model 'cats', rank 0 has 'dogs'"))));
}

TEST(Control, ARankOfAnotherJobsSizeEndsAll) {
  const Place place = new_place();
  const auto errors = on_ranks(2, [&](int r) { Control::meet(place, hello_of(r, r == 0 ? 2 : 4), test_limits()); });
  EXPECT_THAT(errors, Each(AllOf(HasSubstr("rank 1 of 4"), HasSubstr("expects 2 ranks"))));
}

TEST(Control, ARankThatIsThereTwiceEndsAll) {
  const Place place = new_place();
  const auto errors = on_ranks(3, [&](int i) {  // the third process says that it is rank 1 too
    const int rank = i == 2 ? 1 : i;
    Control::meet(place, hello_of(rank, 3), test_limits());
  });
  EXPECT_THAT(errors, Each(HasSubstr("two processes say that they are rank 1")));
}

TEST(Control, OneGpuForTwoRanksEndsAll) {
  const Place place = new_place();
  const auto errors = on_ranks(2, [&](int r) {
    Hello hello = hello_of(r, 2);
    hello.member.gpu = "GPU 0, H100";
    hello.member.gpu_id = "GPU-123";
    Control::meet(place, hello, test_limits());
  });
  EXPECT_THAT(errors, Each(AllOf(HasSubstr("rank 0 and rank 1"), HasSubstr("GPU-123"))));
}

TEST(Control, AnotherProtocolIsNamed) {
  const Place place = new_place();
  const auto errors = on_ranks(2, [&](int r) {
    Hello hello = hello_of(r, 2);
    if (r == 1) hello.protocol = 99;
    Control::meet(place, hello, test_limits());
  });
  EXPECT_THAT(errors, Each(HasSubstr("version 99")));
}

TEST(Control, MissingRanksAreNamedAfterTheLimit) {
  const Place place = new_place();
  Limits limits = test_limits();
  limits.join = 500ms;
  const auto errors = on_ranks(2, [&](int r) { Control::meet(place, hello_of(r, 4), limits); });
  EXPECT_THAT(errors, Each(AllOf(HasSubstr("ranks 2 and 3 of 4 did not join"), HasSubstr("rank 1 on host1"))));
}

TEST(Control, ARankWithoutRankZeroSaysWhereItLooked) {
  Limits limits = test_limits();
  limits.join = 300ms;
  test::expect_error(
      ErrorCode::comm, [&] { Control::meet({.address = "127.0.0.1", .port = 1}, hello_of(1, 2), limits); },
      "rank 1 of 2 on host1", "127.0.0.1:1", "refused");
  test::expect_error(
      ErrorCode::comm,
      [&] { Control::meet({.address = "no.such.machine.invalid", .port = 1}, hello_of(1, 2), limits); },
      "no.such.machine.invalid");
}

TEST(Control, TwoRankZerosAreRefused) {
  const Place place = new_place();
  const Socket first = listen_at(place);
  test::expect_error(
      ErrorCode::comm, [&] { Control::meet(place, hello_of(0, 2), test_limits()); }, "rank 0 cannot listen", "in use");
}

TEST(Control, StrangersAreIgnored) {
  const Place place = new_place();
  const auto errors = on_ranks(3, [&](int r) {
    if (r < 2) {
      const auto control = Control::meet(place, hello_of(r, 2), test_limits());
      control->gather({});
      return;
    }
    std::string problem;
    const Bytes half_a_hello = frame(1, encode(hello_of(1, 2)));
    for (const std::string_view text :
         {std::string_view("GET / HTTP/1.0\r\n\r\n"), std::string_view(""),
          std::string_view("WANC\x01\xff\xff\xff\xff", 9), std::string_view("WANC\x01\x08\0\0\0\x01\0\0\0\0\0\0\0", 17),
          std::string_view(reinterpret_cast<const char*>(half_a_hello.data()), 20)})
      for (int i = 0; i < 20; ++i) {
        const Socket s = connect_to(place, 100ms, problem);
        if (s) write_all(s, std::as_bytes(std::span(text)), 100ms);
      }
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(Control, ALateComerForATakenPlaceIsTold) {
  const Place place = new_place();
  std::atomic<int> met{0};
  std::atomic<bool> told{false};
  const auto errors = on_ranks(3, [&](int i) {
    if (i < 2) {
      const auto control = Control::meet(place, hello_of(i, 2), test_limits());
      for (++met; !told; sleep(5ms)) control->tick();
      return;
    }
    while (met < 2) sleep(5ms);
    try {
      Control::meet(place, hello_of(1, 2), test_limits());
    } catch (const Error&) {
      told = true;
      throw;
    }
  });
  EXPECT_THAT(errors[2], HasSubstr("rank 1 of 2 has joined already"));
  EXPECT_EQ(errors[0] + errors[1], "");
}

TEST(Control, WhoGivesUpWhileMeetingTellsTheOthers) {
  const Place place = new_place();
  for (const int quitter : {0, 1}) {
    const auto errors = on_ranks(2, [&](int r) {
      int polls = 0;
      Control::meet(place, hello_of(r, 3), test_limits(), [&] {
        if (r == quitter && ++polls > 5) throw Error(ErrorCode::cancelled, "[test] stopped");
      });
    });
    EXPECT_THAT(errors, Each(HasSubstr("[test] stopped")));
  }
}

TEST(Control, ARankThatDiesIsNamedOnAllWithItsLastState) {
  for (const int victim : {1, 2}) {
    const Place place = new_place();
    const auto errors = on_ranks(3, [&](int r) {
      if (r != victim) work_on(*Control::meet(place, hello_of(r, 3), test_limits()));
      const Joined joined = join(place, hello_of(r, 3), 20s, {});
      send_frame(joined.links[0].socket, MessageType::beat,
                 encode(Status{1, 2, true, "all_gather", "step 3 of 4, high expert"}));
    });
    for (int r = 0; r < 3; ++r) {
      if (r == victim) continue;
      EXPECT_THAT(errors[static_cast<size_t>(r)],
                  AllOf(HasSubstr("rank " + std::to_string(victim) + " of 3 on host"), HasSubstr("without a word"),
                        HasSubstr("step 3 of 4, high expert; in its collective call 2, all_gather")));
    }
  }
}

TEST(Control, RankZeroThatDiesIsNamedOnAll) {
  const Place place = new_place();
  const auto errors = on_ranks(3, [&](int r) {
    if (r != 0) work_on(*Control::meet(place, hello_of(r, 3), test_limits()));
    join(place, hello_of(r, 3), 20s, {});
  });
  EXPECT_THAT(errors[1], AllOf(HasSubstr("rank 0 of 3 on host0"), HasSubstr("without a word")));
  EXPECT_THAT(errors[2], HasSubstr("rank 0 of 3 on host0"));
}

TEST(Control, ARankThatFallsSilentIsNamedOnAll) {
  for (const int victim : {0, 2}) {
    const Place place = new_place();
    Limits limits = test_limits();
    limits.silence = 1s;
    std::atomic<int> running{2};
    const auto errors = on_ranks(3, [&](int r) {
      if (r == victim) {
        const Joined joined = join(place, hello_of(r, 3), 20s, {});
        // A rank 0 that is stopped; another one reads nothing either.
        while (running > 0) sleep(10ms);
        return;
      }
      try {
        work_on(*Control::meet(place, hello_of(r, 3), limits));
      } catch (const Error&) {
        --running;
        throw;
      }
    });
    for (int r = 0; r < 3; ++r) {
      if (r == victim) continue;
      EXPECT_THAT(errors[static_cast<size_t>(r)],
                  AllOf(HasSubstr("rank " + std::to_string(victim) + " of 3"), HasSubstr("sent nothing for 1 s")));
    }
  }
}

TEST(Control, ARankThatStallsIsNamedNotThoseThatWaitForIt) {
  for (const int victim : {0, 1}) {
    Limits limits = test_limits();
    limits.stall = 1s;
    const auto errors = on_met_ranks(
        3,
        [&](const std::shared_ptr<Control>& control) {
          control->report("step 2 of 9");
          if (control->rank() == victim)
            while (!control->ended()) sleep(10ms);
          control->gather({});
        },
        limits);
    EXPECT_THAT(errors, Each(AllOf(HasSubstr("rank " + std::to_string(victim) + " of 3"),
                                   HasSubstr("has not gone on for"), HasSubstr("step 2 of 9"))));
  }
}

TEST(Control, WhoWaitsForOneThatWorksIsNotBlamed) {
  Limits limits = test_limits();
  limits.stall = 500ms;
  EXPECT_THAT(on_met_ranks(
                  2,
                  [&](const std::shared_ptr<Control>& control) {
                    for (int i = 0; control->rank() == 0 && i < 200; ++i, sleep(10ms)) control->tick();
                    control->gather({});
                  },
                  limits),
              Each(""));
}

TEST(Control, ARankThatFailsEndsAllWithItsMessage) {
  const auto errors = on_met_ranks(4, [](const std::shared_ptr<Control>& control) {
    if (control->rank() == 3) throw Error(ErrorCode::out_of_memory, "[gpu] 9 GB wanted");
    try {
      work_on(*control);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
      throw;
    }
  });
  EXPECT_EQ(errors[3], "[gpu] 9 GB wanted");
  for (size_t r = 0; r < 3; ++r)
    EXPECT_THAT(errors[r], AllOf(HasSubstr("rank 3 of 4 on host3"), HasSubstr("[gpu] 9 GB wanted")));
}

TEST(Control, LeavingIsNoFailure) {
  EXPECT_THAT(on_met_ranks(3,
                           [](const std::shared_ptr<Control>& control) {
                             for (int i = 0; i < 20 * control->rank(); ++i, sleep(10ms)) control->tick();
                           }),
              Each(""));
  EXPECT_THAT(on_met_ranks(3,
                           [](const std::shared_ptr<Control>& control) {
                             for (int i = 0; i < 20 * (2 - control->rank()); ++i, sleep(10ms)) control->tick();
                           }),
              Each(""));
}

TEST(Control, TraitsThatDifferLaterEndAllToo) {
  const auto errors = on_met_ranks(3, [](const std::shared_ptr<Control>& control) {
    control->agree({{"model", "abc"}});
    control->agree({{"request", control->rank() == 2 ? "seed 2" : "seed 1"}});
  });
  EXPECT_THAT(errors, Each(AllOf(HasSubstr("rank 2 of 3"), HasSubstr("request 'seed 2', rank 0 has 'seed 1'"))));
}

TEST(Control, TheEndWakesPollAndCallsBack) {
  on_met_ranks(2, [](const std::shared_ptr<Control>& control) {
    std::atomic<bool> called{false};
    const auto handle = control->on_end([&] { called = true; });
    if (control->rank() == 1) throw Error(ErrorCode::comm, "[test] over");
    pollfd fd{control->wake_descriptor(), POLLIN, 0};
    EXPECT_EQ(poll(&fd, 1, 20000), 1);
    EXPECT_TRUE(control->ended());
    for (int i = 0; i < 2000 && !called; ++i) sleep(10ms);
    EXPECT_TRUE(called);
    EXPECT_THROW(control->check(), Error);
  });
}

TEST(Control, AThreadThatHangsIsLeftToTheLastResort) {
  Limits limits = test_limits();
  limits.unheeded = 200ms;
  on_met_ranks(
      2,
      [](const std::shared_ptr<Control>& control) {
        std::promise<std::string> ended;
        control->on_unheeded([&](const Error& error) { ended.set_value(error.what()); });
        if (control->rank() == 1) throw Error(ErrorCode::comm, "[test] over");
        auto text = ended.get_future();
        ASSERT_EQ(text.wait_for(20s), std::future_status::ready);
        EXPECT_THAT(text.get(), HasSubstr("[test] over"));
      },
      limits);
}

}  // namespace
}  // namespace wan::comm
