#pragma once
#include <functional>
#include <vector>

#include "comm/messages.h"
#include "comm/socket.h"

namespace wan::comm {

/// A connection and what has come over it.
struct Link {
  Socket socket;
  FrameReader reader{max_greeting};
};

/// A job all of whose ranks have met.
struct Joined {
  Welcome welcome;
  Socket listener;          ///< rank 0: where late comers are told that they are
  std::vector<Link> links;  ///< rank 0: to rank r at [r], the first is empty; others: one, to rank 0
};

/// Meets the other ranks: rank 0 listens at `place`, the others connect to it, and it compares their greetings with
/// its own. `poll` is called about ten times a second and may throw to give up; the other ranks are told why.
/// Throws Error(comm) on every rank that came, within the limit, if some rank did not come, ended meanwhile, came twice
/// or differs; the sentence names it. Strangers that connect are ignored.
Joined join(const Place& place, const Hello& hello, milliseconds limit, const std::function<void()>& poll);

/// For both ends once the handshake is done: sends a frame at once, as far as the other end takes it within a second.
void send_frame(const Socket& socket, MessageType type, std::span<const std::byte> body);

}  // namespace wan::comm
