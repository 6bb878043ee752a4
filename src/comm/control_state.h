#pragma once
#include <atomic>
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "comm/control.h"
#include "comm/diagnosis.h"
#include "comm/rendezvous.h"

/// The insides of Control: what its two threads share, and the thread that serves the connections. For control*.cpp.
namespace wan::comm {

/// Another rank that this one is connected to.
struct Peer {
  Link link;
  Bytes out;  ///< waits to be sent
  bool left = false;
  Status status;
  Clock::time_point heard, advanced;
};

/// A late comer that has not said yet who it is.
struct Latecomer {
  Link link;
  Clock::time_point since;
};

struct Control::State {
  State(Joined joined, const Hello& hello, const Limits& limits);
  ~State();

  // The working thread's side.
  void wake() noexcept;
  void settle(const Verdict& verdict);
  [[noreturn]] void throw_verdict();

  // The control thread.
  void run();
  void pass();
  void hear(int rank, Peer& peer);
  void handle(int rank, Peer& peer, const Frame& frame);
  void hear_latecomers();
  void answer(Latecomer& one);
  void contribute(int rank, uint64_t number, Bytes part);
  void beat(Clock::time_point now);
  void judge(Clock::time_point now);
  void tell_verdict();
  void part();
  void queue(Peer& peer, MessageType type, const Bytes& body);
  void flush(Peer& peer);
  int timeout(Clock::time_point now) const;

  const int rank, size;
  const Limits limits;
  std::vector<Member> members;
  std::vector<std::string> addresses;
  Nonce nonce{};
  Socket wake_thread;  ///< readable when the control thread has something to do
  Socket wake_worker;  ///< readable once there is a verdict

  mutable std::mutex mutex;  // guards from here
  std::condition_variable changed;
  Status status;
  bool urgent = false;  ///< the status is to be told soon
  bool leaving = false;
  std::optional<Verdict> verdict;
  bool noticed = false;  ///< the working thread has seen it
  milliseconds stall;
  std::optional<Bytes> mine;  ///< of the gathering under way, to be sent
  uint64_t gathering = 0;     ///< its number
  std::map<uint64_t, std::vector<Bytes>> gathered;
  std::function<void(const Error&)> unheeded;
  std::atomic<bool> has_verdict{false};

  std::mutex actions_mutex;  // held while they run
  std::list<std::function<void()>> actions;
  std::atomic<bool> acting{false};

  // The control thread's own.
  Socket listener;
  std::map<int, Peer> peers;
  std::list<Latecomer> latecomers;
  std::map<uint64_t, std::map<int, Bytes>> contributions;  // rank 0
  bool told = false;
  Clock::time_point last_pass, last_beat, told_at;
  Status own;  ///< as of the last beat
  Clock::time_point own_advanced;
  std::thread actor;  ///< runs the actions
  std::thread thread;
};

}  // namespace wan::comm
