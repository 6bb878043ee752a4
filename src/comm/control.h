#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/messages.h"
#include "comm/socket.h"

namespace wan::comm {

/// How long a job waits before it ends.
struct Limits {
  milliseconds join = std::chrono::seconds(120);     ///< for all ranks to come
  milliseconds silence = std::chrono::seconds(30);   ///< for a sign of life of a rank
  milliseconds stall = std::chrono::seconds(300);    ///< for a rank's work to go on; 0: for ever
  milliseconds beat = std::chrono::seconds(1);       ///< between two signs of life
  milliseconds verdict = std::chrono::seconds(5);    ///< to learn why another rank's connection closed
  milliseconds unheeded = std::chrono::seconds(10);  ///< for this rank's thread to notice that the job has ended
};

/// The control connection of a job of several ranks: a star around rank 0, served by a thread of its own on every rank.
/// It tells every second that this rank is alive and what it does. When a rank dies, falls silent, stalls or fails, the
/// job ends everywhere with one sentence, the verdict: check() throws it, wake_descriptor() becomes readable, and what
/// on_end() was given is called. Its functions are for the thread that does the rank's work, unless they say otherwise.
class Control {
 public:
  /// Meets the other ranks (see join() in rendezvous.h). A job of one rank opens no connection.
  static std::shared_ptr<Control> meet(const Place& place, const Hello& hello, const Limits& limits,
                                       const std::function<void()>& poll = {});
  /// Tells the others that this rank is done; that it closes then is no failure.
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  int rank() const noexcept;
  int size() const noexcept;
  const std::vector<Member>& members() const noexcept;  ///< by rank
  const Nonce& nonce() const noexcept;
  /// The address at which this rank reaches another one's machine.
  const std::string& address_of(int rank) const;

  /// What this rank does now, such as "step 12 of 40, high expert"; its work goes on.
  void report(const std::string& state);
  /// Its work goes on; throws as check() does. For Context::poll.
  void tick();
  /// Throws the verdict, as Error of its code, if the job has ended. Any thread.
  void check() const;
  bool ended() const noexcept;  ///< any thread
  /// A rank whose work does not go on for this long ends the job; 0: never.
  void set_stall_limit(milliseconds limit);

  /// This rank cannot go on: ends the job on all ranks with this message. No effect if it has ended. Any thread.
  void fail(ErrorCode code, const std::string& message);
  /// Something between ranks has broken, probably because another one has: waits for the verdict on why, and throws it;
  /// or, if none comes, fails with this message.
  [[noreturn]] void give_up(ErrorCode code, const std::string& message);
  /// The same where the data connection to a rank has closed.
  [[noreturn]] void lost(int rank, const std::string& detail);

  /// Every rank's bytes (4096 at most), in rank order; waits for all ranks to call it.
  std::vector<Bytes> gather(std::span<const std::byte> mine);
  /// Throws Error(comm) on every rank where one of the traits is not the same on all; it names the first rank that
  /// differs from rank 0, and in what.
  void agree(const std::vector<Trait>& traits);

  /// For a collective call: notes that this rank waits in it, until the object's end.
  class Call {
   public:
    Call(Control& control, const char* name);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    Control& control_;
  };

  /// Readable once the job has ended; for poll().
  int wake_descriptor() const noexcept;
  /// Called once, from a thread of its own, when the job ends with a verdict; at once if it has. It must not throw, nor
  /// call this object. Forgotten when the returned handle goes, which waits for a call that runs.
  std::shared_ptr<void> on_end(std::function<void()> action);
  /// Called once, from the control thread, if this rank's thread has not noticed the verdict (by an exception from
  /// here), or an action of on_end() is not over, within Limits::unheeded: only ending the process is left.
  void on_unheeded(std::function<void(const Error&)> action);

 private:
  struct State;
  explicit Control(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace wan::comm
