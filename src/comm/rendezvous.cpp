#include "comm/rendezvous.h"

#include <poll.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <thread>

#include "comm/diagnosis.h"
#include "core/error.h"

namespace wan::comm {
namespace {

constexpr milliseconds pass{100};
constexpr std::chrono::seconds farewell{5};
constexpr size_t max_strangers = 256;
constexpr std::chrono::seconds greeting_limit{10};

/// Puts what has come into the link's reader; false if the other end has closed.
bool read_into(Link& link) {
  std::array<std::byte, 4096> buffer{};
  const auto n = read_some(link.socket, buffer);
  if (n == size_t{0}) return false;
  if (n) link.reader.put(std::span(buffer).first(*n));
  return true;
}

class Root {
 public:
  Root(const Place& place, const Hello& hello, milliseconds limit)
      : place_(place), hello_(hello), limit_(limit), links_(static_cast<size_t>(hello.size)) {
    members_.push_back(hello.member);
    for (Trait& t : hello_.same) t = shortened(t);
  }

  Joined join(const std::function<void()>& poll) {
    Socket listener = listen_at(place_);
    const auto end = Clock::now() + limit_;
    try {
      while (members_.size() < links_.size()) {
        if (poll) poll();
        require(Clock::now() < end, ErrorCode::comm, "{}",
                never_joined(missing(), members_, hello_.size, place_.text(), limit_));
        wait(listener);
      }
    } catch (const Error& error) {
      tell_all({error.code(), error.what()});
      if (error.code() == ErrorCode::comm && Clock::now() < end) tell_those_on_their_way(listener, error.what());
      throw;
    }
    return welcome(std::move(listener));
  }

 private:
  struct Stranger {
    Link link;
    Clock::time_point since = Clock::now();
  };

  std::vector<int> missing() const {
    std::vector<int> out;
    for (int r = 1; r < hello_.size; ++r)
      if (!links_[static_cast<size_t>(r)].socket) out.push_back(r);
    return out;
  }

  void wait(const Socket& listener) {
    std::vector<pollfd> fds = {{listener.get(), POLLIN, 0}};
    for (const Link& l : links_)
      if (l.socket) fds.push_back({l.socket.get(), POLLIN, 0});
    for (const Stranger& s : strangers_) fds.push_back({s.link.socket.get(), POLLIN, 0});
    poll(fds.data(), fds.size(), static_cast<int>(pass.count()));
    // Those who were there first: one that left makes room for its second try.
    for (Link& l : links_)
      if (l.socket) hear_member(l);
    for (Stranger& s : strangers_) hear_stranger(s);
    std::erase_if(strangers_, [](const Stranger& s) { return !s.link.socket; });
    while (Socket s = accept_one(listener))
      if (strangers_.size() < max_strangers) strangers_.push_back({Link{std::move(s)}});
  }

  void hear_member(Link& link) {
    const auto rank = static_cast<int>(&link - links_.data());
    const Member& member = *std::ranges::find(members_, rank, &Member::rank);
    const bool open = read_into(link);
    if (const auto frame = link.reader.next()) {
      require(frame->type == static_cast<uint8_t>(MessageType::verdict), ErrorCode::comm,
              "[ranks] {} sent a message of type {} before its welcome", describe(member, hello_.size), frame->type);
      const Verdict verdict = decode_verdict(frame->body);
      link.socket.close();
      fail(verdict.code, "{}", verdict.message);
    }
    if (open) return;
    link.socket.close();
    fail(ErrorCode::comm, "{}", died(member, hello_.size, {.state = "waiting for the other ranks"}));
  }

  void hear_stranger(Stranger& s) {
    Hello hello;
    try {
      const bool open = read_into(s.link);
      const auto frame = s.link.reader.next();
      if (!frame) {
        if (!open || Clock::now() - s.since > greeting_limit) s.link.socket.close();
        return;
      }
      require(frame->type == static_cast<uint8_t>(MessageType::hello), ErrorCode::comm, "[message] no greeting");
      hello = decode_hello(frame->body);
    } catch (const Error&) {
      s.link.socket.close();  // not one of us
      return;
    }
    admit(std::move(s.link), std::move(hello));
  }

  void admit(Link link, Hello hello) {
    const std::string refusal = mismatch(hello_, hello, members_);
    if (!refusal.empty()) {
      send_frame(link.socket, MessageType::verdict, encode(Verdict{ErrorCode::comm, refusal}));
      finish_writing(link.socket, std::chrono::seconds(1));
      ++refused_;
      fail(ErrorCode::comm, "{}", refusal);
    }
    hello.member.address = peer_address(link.socket);
    links_[static_cast<size_t>(hello.member.rank)] = std::move(link);
    members_.push_back(std::move(hello.member));
  }

  Joined welcome(Socket listener) {
    Joined joined;
    std::ranges::sort(members_, {}, &Member::rank);
    joined.welcome.members = members_;
    require(getrandom(joined.welcome.nonce.data(), joined.welcome.nonce.size(), 0) ==
                static_cast<ssize_t>(joined.welcome.nonce.size()),
            ErrorCode::comm, "[ranks] the system gives no random numbers");
    const Bytes body = encode(joined.welcome);
    for (Link& l : links_) {
      if (!l.socket) continue;
      send_frame(l.socket, MessageType::welcome, body);
      l.reader.set_limit(max_message);
    }
    joined.links = std::move(links_);
    joined.listener = std::move(listener);
    return joined;
  }

  // Ranks start at about the same time: without this, one that comes a little later would look for rank 0 in vain.
  void tell_those_on_their_way(const Socket& listener, const std::string& message) {
    const Bytes body = encode(Verdict{ErrorCode::comm, message});
    const auto end = Clock::now() + farewell;
    std::vector<Socket> told;
    for (Stranger& s : strangers_) {
      if (!s.link.socket) continue;
      send_frame(s.link.socket, MessageType::verdict, body);
      told.push_back(std::move(s.link.socket));
    }
    while (told.size() + refused_ < missing().size() && Clock::now() < end) {
      pollfd fd{listener.get(), POLLIN, 0};
      ::poll(&fd, 1, static_cast<int>(pass.count()));
      if (Socket s = accept_one(listener)) {
        send_frame(s, MessageType::verdict, body);
        told.push_back(std::move(s));
      }
    }
    for (const Socket& s : told) finish_writing(s, std::chrono::seconds(1));
  }

  void tell_all(const Verdict& verdict) {
    const Bytes body = encode(verdict);
    for (const Link& l : links_)
      if (l.socket) send_frame(l.socket, MessageType::verdict, body);
    for (const Link& l : links_)
      if (l.socket) finish_writing(l.socket, std::chrono::seconds(1));
  }

  Place place_;
  Hello hello_;
  milliseconds limit_;
  std::vector<Link> links_;  // by rank
  std::vector<Member> members_;
  std::vector<Stranger> strangers_;
  size_t refused_ = 0;
};

class Joining {
 public:
  Joining(const Place& place, const Hello& hello, milliseconds limit)
      : place_(place), hello_(hello), limit_(limit), end_(Clock::now() + limit) {}

  Joined join(const std::function<void()>& poll) {
    Link link;
    try {
      for (;;) {
        if (poll) poll();
        if (!link.socket) connect(link);
        if (!link.socket) continue;
        if (auto welcome = hear(link)) {
          link.reader.set_limit(max_message);
          Joined joined;
          joined.welcome = std::move(*welcome);
          joined.links.push_back(std::move(link));
          return joined;
        }
      }
    } catch (const Error& error) {
      if (link.socket && !told_) {
        send_frame(link.socket, MessageType::verdict, encode(Verdict{error.code(), error.what()}));
        finish_writing(link.socket, std::chrono::seconds(1));
      }
      throw;
    }
  }

 private:
  milliseconds left() const { return std::chrono::duration_cast<milliseconds>(end_ - Clock::now()); }

  void connect(Link& link) {
    require(left().count() > 0, ErrorCode::comm, "{}",
            unreachable(hello_.member, hello_.size, place_.text(), problem_, limit_));
    link = Link{connect_to(place_, std::min(left(), milliseconds(1000)), problem_)};
    if (link.socket)
      send_frame(link.socket, MessageType::hello, encode(hello_));
    else
      std::this_thread::sleep_for(pass);
  }

  std::optional<Welcome> hear(Link& link) {
    // Rank 0 keeps the limit too, and knows who is missing: a little patience lets it say so.
    require(left() > -std::chrono::seconds(5), ErrorCode::comm, "{}",
            unreachable(hello_.member, hello_.size, place_.text(), "it accepted the connection, but no more", limit_));
    pollfd fd{link.socket.get(), POLLIN, 0};
    ::poll(&fd, 1, static_cast<int>(pass.count()));
    const bool open = read_into(link);
    const auto frame = link.reader.next();
    if (!frame) {
      if (open) return std::nullopt;
      problem_ = "it closed the connection";
      link.socket.close();
      std::this_thread::sleep_for(pass);
      return std::nullopt;
    }
    if (frame->type == static_cast<uint8_t>(MessageType::verdict)) {
      told_ = true;
      const Verdict verdict = decode_verdict(frame->body);
      fail(verdict.code, "{}", verdict.message);
    }
    require(frame->type == static_cast<uint8_t>(MessageType::welcome), ErrorCode::comm,
            "[ranks] rank 0 at {} sent a message of type {} instead of a welcome", place_.text(), frame->type);
    return decode_welcome(frame->body, hello_.size);
  }

  Place place_;
  Hello hello_;
  milliseconds limit_;
  Clock::time_point end_;
  std::string problem_ = "no connection";
  bool told_ = false;
};

}  // namespace

void send_frame(const Socket& socket, MessageType type, std::span<const std::byte> body) {
  write_all(socket, frame(static_cast<uint8_t>(type), body), std::chrono::seconds(1));
}

Joined join(const Place& place, const Hello& hello, milliseconds limit, const std::function<void()>& poll) {
  if (hello.member.rank == 0) return Root(place, hello, limit).join(poll);
  return Joining(place, hello, limit).join(poll);
}

}  // namespace wan::comm
