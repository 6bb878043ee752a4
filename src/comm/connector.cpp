#include "comm/connector.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <thread>

#include "core/error.h"

namespace wan::comm {
namespace {

constexpr milliseconds pass{100};
constexpr size_t greeting_bytes = 16 + 8 + 8;  // nonce, group, rank
constexpr size_t max_early = 4096;

Bytes greeting(const Nonce& nonce, uint64_t group, int rank) {
  Bytes out(nonce.begin(), nonce.end());
  const Bytes numbers = Writer().number(group).number(static_cast<uint64_t>(rank)).take();
  out.insert(out.end(), numbers.begin(), numbers.end());
  return out;
}

bool wait_for_bytes(const Socket& s, int wake, milliseconds limit) {
  std::array<pollfd, 2> fds = {pollfd{s.get(), POLLIN, 0}, pollfd{wake, POLLIN, 0}};
  return poll(fds.data(), fds.size(), static_cast<int>(limit.count())) > 0 && fds[0].revents != 0;
}

}  // namespace

Connector::Connector(std::shared_ptr<Control> control) : control_(std::move(control)), listener_(listen_anywhere()) {
  const auto ports = control_->gather(Writer().number(static_cast<uint64_t>(port_of(listener_))).take());
  for (const Bytes& p : ports) ports_.push_back(static_cast<int>(Reader(p).number(65535)));
}

std::vector<Socket> Connector::connect(uint64_t group, const std::vector<int>& ranks) {
  const std::lock_guard lock(mutex_);
  std::vector<Socket> sockets;
  for (const int r : ranks) {
    if (r == control_->rank())
      sockets.emplace_back();
    else
      sockets.push_back(r < control_->rank() ? call(group, r) : answer(group, r));
  }
  return sockets;
}

// A lower rank listens since before this rank knew its port, so that one refusal is final, but a lost packet is not.
Socket Connector::call(uint64_t group, int rank) {
  const Place place{.address = control_->address_of(rank), .port = ports_.at(static_cast<size_t>(rank))};
  std::string problem;
  for (int attempt = 0; attempt < 5; ++attempt) {
    control_->check();
    Socket s = connect_to(place, std::chrono::seconds(5), problem);
    if (s && write_all(s, greeting(control_->nonce(), group, control_->rank()), std::chrono::seconds(5))) return s;
    std::this_thread::sleep_for(pass);
  }
  control_->lost(rank, fmt::format("no connection to {}: {}", place.text(), problem));
}

Socket Connector::answer(uint64_t group, int rank) {
  for (;;) {
    const auto found = early_.find({group, rank});
    if (found != early_.end()) {
      Socket s = std::move(found->second);
      early_.erase(found);
      return s;
    }
    control_->check();
    if (wait_for_bytes(listener_, control_->wake_descriptor(), pass)) take_one();
  }
}

void Connector::take_one() {
  Socket s = accept_one(listener_);
  if (!s) return;
  std::array<std::byte, greeting_bytes> came{};
  for (size_t have = 0; have < came.size();) {
    if (!wait_for_bytes(s, control_->wake_descriptor(), std::chrono::seconds(5))) return;
    const auto n = read_some(s, std::span(came).subspan(have));
    if (n == size_t{0}) return;
    have += n.value_or(0);
  }
  const Nonce& nonce = control_->nonce();
  if (!std::equal(nonce.begin(), nonce.end(), came.begin()) || early_.size() > max_early) return;
  Reader in(std::span<const std::byte>(came).subspan(nonce.size()));
  const uint64_t group = in.number();
  const uint64_t rank = in.number();
  if (rank < ports_.size()) early_[{group, static_cast<int>(rank)}] = std::move(s);
}

}  // namespace wan::comm
