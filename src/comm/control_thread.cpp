// The control thread: one pass is to wait for something, hear everybody, then judge, so that what has come while this
// process was stopped counts.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "comm/control_state.h"
#include "core/error.h"

namespace wan::comm {
namespace {

constexpr size_t max_unsent = 32 << 20;
constexpr milliseconds soonest{20};  // between two beats
constexpr size_t max_latecomers = 16;

milliseconds since(Clock::time_point then, Clock::time_point now) {
  return std::chrono::duration_cast<milliseconds>(now - then);
}

}  // namespace

void Control::State::queue(Peer& peer, MessageType type, const Bytes& body) {
  if (!peer.link.socket || peer.out.size() > max_unsent) return;
  const Bytes bytes = frame(static_cast<uint8_t>(type), body);
  peer.out.insert(peer.out.end(), bytes.begin(), bytes.end());
  flush(peer);
}

void Control::State::flush(Peer& peer) {
  if (!peer.link.socket || peer.out.empty()) return;
  const auto n = write_some(peer.link.socket, peer.out);
  if (n)
    peer.out.erase(peer.out.begin(), peer.out.begin() + static_cast<std::ptrdiff_t>(*n));
  else
    peer.out.clear();  // reading will tell that it is gone
}

int Control::State::timeout(Clock::time_point now) const {
  const std::lock_guard lock(mutex);
  const milliseconds beat_in = std::max(limits.beat, milliseconds(1)) - since(last_beat, now);
  const milliseconds wait = urgent ? std::min(beat_in, soonest - since(last_beat, now)) : beat_in;
  return static_cast<int>(std::clamp<int64_t>(wait.count(), 1, 1000));
}

void Control::State::run() {
  for (;;) {
    try {
      pass();
    } catch (const std::exception& e) {  // no memory, for instance
      settle({ErrorCode::comm, fmt::format("[ranks] the control connection of rank {} failed: {}", rank, e.what())});
    }
    const std::lock_guard lock(mutex);
    if (leaving && (!verdict || (told && !acting))) break;
  }
  try {
    part();
  } catch (const std::exception&) {
    // The others see that the connection closes.
  }
  if (actor.joinable()) actor.join();
}

void Control::State::pass() {
  std::vector<pollfd> fds = {{wake_thread.get(), POLLIN, 0}};
  if (listener) fds.push_back({listener.get(), POLLIN, 0});
  for (const Latecomer& one : latecomers) fds.push_back({one.link.socket.get(), POLLIN, 0});
  for (const auto& [r, peer] : peers)
    if (peer.link.socket)
      fds.push_back({peer.link.socket.get(), static_cast<short>(POLLIN | (peer.out.empty() ? 0 : POLLOUT)), 0});
  ::poll(fds.data(), fds.size(), timeout(Clock::now()));
  uint64_t ignored = 0;
  [[maybe_unused]] const auto n = ::read(wake_thread.get(), &ignored, sizeof ignored);

  const auto now = Clock::now();
  if (const auto gap = since(last_pass, now) - 2 * limits.beat; gap.count() > 0) {  // this process was stopped itself
    for (auto& [r, peer] : peers) {
      peer.heard += gap;
      peer.advanced += gap;
    }
    own_advanced += gap;
  }
  last_pass = now;
  for (auto& [r, peer] : peers) {
    flush(peer);
    hear(r, peer);
  }
  hear_latecomers();
  std::optional<Bytes> part;
  uint64_t number = 0;
  {
    const std::lock_guard lock(mutex);
    part.swap(mine);
    number = gathering;
  }
  if (part && rank == 0)
    contribute(0, number, std::move(*part));
  else if (part)
    queue(peers.at(0), MessageType::contribution, Writer().number(number).bytes(*part).take());
  beat(now);
  judge(now);
  if (has_verdict) tell_verdict();
}

void Control::State::hear(int r, Peer& peer) {
  std::array<std::byte, 16384> buffer{};
  while (peer.link.socket) {
    const auto n = read_some(peer.link.socket, buffer);
    if (!n) return;
    try {
      peer.link.reader.put(std::span(buffer).first(*n));
      while (auto frame = peer.link.reader.next()) handle(r, peer, *frame);
    } catch (const Error& e) {
      settle({ErrorCode::comm, fmt::format("[ranks] {} sent what is no message: {}",
                                           describe(members[static_cast<size_t>(r)], size), e.what())});
      peer.link.socket.close();
      return;
    }
    if (*n > 0) continue;
    peer.link.socket.close();
    if (!peer.left) settle({ErrorCode::comm, died(members[static_cast<size_t>(r)], size, peer.status)});
  }
}

void Control::State::handle(int r, Peer& peer, const Frame& frame) {
  peer.heard = Clock::now();
  switch (static_cast<MessageType>(frame.type)) {
    case MessageType::beat: {
      Status s = decode_status(frame.body);
      if (!(s == peer.status)) peer.advanced = peer.heard;
      peer.status = std::move(s);
      return;
    }
    case MessageType::verdict: return settle(decode_verdict(frame.body));
    case MessageType::leave: peer.left = true; return;
    case MessageType::contribution:
      if (rank == 0) {
        Reader in(frame.body);
        const uint64_t number = in.number();
        return contribute(r, number, in.bytes(max_contribution));
      }
      break;
    case MessageType::gathered:
      if (rank != 0) {
        uint64_t number = 0;
        auto parts = decode_gathered(frame.body, size, number);
        const std::lock_guard lock(mutex);
        if (number == gathering) gathered[number] = std::move(parts);
        changed.notify_all();
        return;
      }
      break;
    case MessageType::hello:
    case MessageType::welcome: break;
  }
  wan::fail(ErrorCode::comm, "[message] type {} is not expected from rank {}", frame.type, r);
}

void Control::State::contribute(int r, uint64_t number, Bytes part) {
  auto& parts = contributions[number];
  require(contributions.size() <= 2 && parts.emplace(r, std::move(part)).second, ErrorCode::comm,
          "[message] gathering {} comes out of turn", number);
  if (parts.size() < static_cast<size_t>(size)) return;
  std::vector<Bytes> all;
  for (auto& [from, bytes] : parts) all.push_back(std::move(bytes));
  contributions.erase(number);
  const Bytes body = encode_gathered(number, all);
  for (auto& [to, peer] : peers) queue(peer, MessageType::gathered, body);
  const std::lock_guard lock(mutex);
  gathered[number] = std::move(all);
  changed.notify_all();
}

void Control::State::hear_latecomers() {
  if (!listener) return;
  while (Socket s = accept_one(listener))
    if (latecomers.size() < max_latecomers) latecomers.push_back({Link{std::move(s)}, Clock::now()});
  for (Latecomer& one : latecomers) {
    try {
      answer(one);
    } catch (const Error&) {
      one.link.socket.close();  // not one of us
    }
  }
  std::erase_if(latecomers, [](const Latecomer& one) { return !one.link.socket; });
}

// One that wants a place that is taken is told so. If its rank has left, this job is about to end, and the late comer
// belongs to the next one of the same name: it will try again.
void Control::State::answer(Latecomer& one) {
  std::array<std::byte, 4096> buffer{};
  const auto n = read_some(one.link.socket, buffer);
  if (n) one.link.reader.put(std::span(buffer).first(*n));
  const auto frame = one.link.reader.next();
  if (!frame) {
    if (n == size_t{0} || Clock::now() - one.since > std::chrono::seconds(5)) one.link.socket.close();
    return;
  }
  const Hello hello = decode_hello(frame->body);
  const auto taken = peers.find(hello.member.rank);
  if (taken != peers.end() && !taken->second.left && taken->second.link.socket) {
    const Member& first = members[static_cast<size_t>(hello.member.rank)];
    send_frame(one.link.socket, MessageType::verdict,
               encode(Verdict{
                   ErrorCode::comm,
                   fmt::format("[ranks] rank {} of {} has joined already: process {} on {}, and this is "
                               "process {} on {}; expected one of each. Check how they were started",
                               first.rank, size, first.process, first.host, hello.member.process, hello.member.host)}));
  }
  one.link.socket.close();
}

void Control::State::beat(Clock::time_point now) {
  Status s;
  {
    const std::lock_guard lock(mutex);
    const auto due = urgent ? std::min(limits.beat, soonest) : limits.beat;
    if (since(last_beat, now) < due) return;
    urgent = false;
    s = status;
  }
  last_beat = now;
  if (!(s == own)) own_advanced = now;
  own = s;
  const Bytes body = encode(s);
  for (auto& [r, peer] : peers)
    if (peer.out.empty()) queue(peer, MessageType::beat, body);  // one that does not read gets no more of them
}

void Control::State::judge(Clock::time_point now) {
  if (has_verdict) return;
  for (const auto& [r, peer] : peers)
    if (peer.link.socket && !peer.left && since(peer.heard, now) > limits.silence)
      return settle({ErrorCode::comm, silent(members[static_cast<size_t>(r)], size, peer.status, limits.silence)});
  if (rank != 0) return;  // it alone knows of all
  milliseconds limit{0};
  {
    const std::lock_guard lock(mutex);
    limit = stall;
  }
  if (limit.count() == 0) return;
  std::vector<Observed> all = {{members[0], own, since(own_advanced, now), false}};
  for (const auto& [r, peer] : peers)
    all.push_back(
        {members[static_cast<size_t>(r)], peer.status, since(peer.advanced, now), peer.left || !peer.link.socket});
  if (const std::string text = stalled(all, limit); !text.empty()) settle({ErrorCode::comm, text});
}

void Control::State::tell_verdict() {
  Verdict v;
  {
    const std::lock_guard lock(mutex);
    v = *verdict;
  }
  if (!told) {
    told = true;
    told_at = Clock::now();
    const Bytes body = encode(v);
    for (auto& [r, peer] : peers) queue(peer, MessageType::verdict, body);
    acting = true;
    actor = std::thread([this] {
      {
        const std::lock_guard lock(actions_mutex);
        for (const auto& action : actions) action();
      }
      acting = false;
      wake();
    });
  }
  std::function<void(const Error&)> last_resort;
  {
    const std::lock_guard lock(mutex);
    if ((!noticed || acting) && since(told_at, Clock::now()) > limits.unheeded) last_resort.swap(unheeded);
  }
  if (last_resort) last_resort(Error(v.code, v.message));
}

void Control::State::part() {
  const bool failed = has_verdict;
  const auto end = Clock::now() + (failed ? milliseconds(1000) : milliseconds(200));
  for (auto& [r, peer] : peers) {
    if (!peer.link.socket) continue;
    if (!failed) queue(peer, MessageType::leave, {});
    write_all(peer.link.socket, peer.out, milliseconds(200));
    ::shutdown(peer.link.socket.get(), SHUT_WR);
  }
  for (auto& [r, peer] : peers)
    if (peer.link.socket) finish_writing(peer.link.socket, std::max(since(Clock::now(), end), milliseconds(0)));
}

}  // namespace wan::comm
