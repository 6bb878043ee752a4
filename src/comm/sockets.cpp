#include "comm/sockets.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <numeric>

#include "comm/checks.h"
#include "comm/connector.h"
#include "core/error.h"

namespace wan::comm {
namespace {

enum class Op : uint8_t { all_to_all, all_gather, all_reduce, message, barrier, split };
constexpr std::array op_names = {"all_to_all", "all_gather", "all_reduce", "send", "barrier", "split"};
const char* name_of(uint64_t op) { return op < op_names.size() ? op_names[op] : "an unknown call"; }

constexpr size_t header_bytes = 24;          // op, number, bytes
constexpr size_t reduced_at_once = 1 << 18;  // values per rank
constexpr size_t early_read = 1 << 16;

struct Header {
  uint64_t op = 0, number = 0, bytes = 0;
};

/// One rank's connection, and what is under way on it.
struct Peer {
  Socket socket;
  // Out: a header and a payload.
  Bytes out_header;
  std::span<const std::byte> out_payload;
  // In: first a header, then its payload into the receiver's bytes or, if nobody waits for it yet, to `early`.
  Bytes in_header;
  std::optional<Header> incoming;
  size_t in_done = 0;
  std::span<std::byte> into;
  bool wanted = false;
  bool closed = false;
  Header expected;
  std::deque<std::pair<Header, Bytes>> early;

  bool sending() const noexcept { return !out_header.empty() || !out_payload.empty(); }
};

class Sockets final : public Communicator {
 public:
  Sockets(std::shared_ptr<Connector> connector, uint64_t group, std::vector<int> ranks)
      : connector_(std::move(connector)), control_(connector_->control()), group_(group), ranks_(std::move(ranks)) {
    rank_ = static_cast<int>(std::ranges::find(ranks_, control_.rank()) - ranks_.begin());
    std::vector<Socket> sockets = connector_->connect(group_, ranks_);
    for (Socket& s : sockets) peers_.emplace_back().socket = std::move(s);
  }

  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return static_cast<int>(ranks_.size()); }

  std::unique_ptr<Communicator> split(int colour) override {
    const Control::Call call(control_, "split");
    const auto colours = gather_numbers(Op::split, static_cast<uint64_t>(colour));
    std::vector<int> members;
    for (size_t r = 0; r < colours.size(); ++r)
      if (colours[r] == static_cast<uint64_t>(colour)) members.push_back(ranks_[r]);
    // Every rank of a group has split it as often; 64 bits of hash tell the paths of splits apart.
    const uint64_t child = (group_ + ++splits_) * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(colour) + 1;
    return std::make_unique<Sockets>(connector_, child, std::move(members));
  }

  void all_to_all(std::span<const std::byte> from, std::span<std::byte> to, void*) override {
    const auto n = static_cast<size_t>(size());
    check(from.size() == to.size() && from.size() % n == 0, "all_to_all", from.size(), to.size());
    const size_t block = from.size() / n;
    const Control::Call call(control_, "all_to_all");
    begin(Op::all_to_all, block);
    for (size_t r = 0; r < n; ++r) {
      if (static_cast<int>(r) == rank_) {
        copy(from.subspan(r * block, block), to.subspan(r * block, block));
        continue;
      }
      start_sending(r, from.subspan(r * block, block));
      start_receiving(r, to.subspan(r * block, block));
    }
    finish();
  }

  void all_gather(std::span<const std::byte> from, std::span<std::byte> to, void*) override {
    check(to.size() == from.size() * static_cast<size_t>(size()), "all_gather", from.size(), to.size());
    const Control::Call call(control_, "all_gather");
    gather(Op::all_gather, from, to);
  }

  // In the ranks' order, so that all have the same bits.
  void all_reduce(std::span<float> values, Reduction reduction, void*) override {
    const Control::Call call(control_, "all_reduce");
    const size_t total = values.size();
    std::vector<float> all;
    for (size_t done = 0; done < total || (total == 0 && done == 0); done += reduced_at_once) {
      const auto part = values.subspan(done, std::min(reduced_at_once, total - done));
      all.resize(part.size() * peers_.size());
      gather(Op::all_reduce, std::as_bytes(part), std::as_writable_bytes(std::span(all)));
      for (size_t i = 0; i < part.size(); ++i) {
        float result = all[i];
        for (size_t r = 1; r < peers_.size(); ++r) {
          const float theirs = all[r * part.size() + i];
          result = reduction == Reduction::sum ? result + theirs : std::max(result, theirs);
        }
        part[i] = result;
      }
    }
  }

  void send(std::span<const std::byte> bytes, int to, void*) override {
    check_peer(to);
    if (to == rank_) return own_.emplace_back(bytes.begin(), bytes.end()), void();
    const Control::Call call(control_, "send");
    const auto r = static_cast<size_t>(to);
    current_ = {static_cast<uint64_t>(Op::message), ++sent_[r], bytes.size()};
    start_sending(r, bytes);
    finish();
  }

  void receive(std::span<std::byte> bytes, int from, void*) override {
    check_peer(from);
    if (from == rank_) {
      require(!own_.empty(), ErrorCode::comm, "[rank {} of {}] receives from itself, but sent nothing before", rank_,
              size());
      const Bytes message = std::move(own_.front());
      own_.pop_front();
      check(message.size() == bytes.size(), "receive", message.size(), bytes.size());
      return copy(message, bytes);
    }
    const Control::Call call(control_, "receive");
    const auto r = static_cast<size_t>(from);
    current_ = {static_cast<uint64_t>(Op::message), ++received_[r], bytes.size()};
    start_receiving(r, bytes);
    finish();
  }

  void barrier(void*) override {
    const Control::Call call(control_, "barrier");
    gather(Op::barrier, {}, {});
  }

 private:
  void check(bool right, const char* name, size_t from, size_t to) const {
    check_bytes(right, rank_, size(), name, from, to);
  }
  void check_peer(int peer) const { comm::check_peer(peer, rank_, size()); }
  static void copy(std::span<const std::byte> from, std::span<std::byte> to) {
    if (!from.empty()) std::memmove(to.data(), from.data(), from.size());
  }

  void begin(Op op, uint64_t bytes) { current_ = {static_cast<uint64_t>(op), ++collectives_, bytes}; }

  void gather(Op op, std::span<const std::byte> from, std::span<std::byte> to) {
    begin(op, from.size());
    for (size_t r = 0; r < peers_.size(); ++r) {
      const auto block = to.subspan(r * from.size(), from.size());
      if (static_cast<int>(r) == rank_) {
        copy(from, block);
        continue;
      }
      start_sending(r, from);
      start_receiving(r, block);
    }
    finish();
  }

  std::vector<uint64_t> gather_numbers(Op op, uint64_t mine) {
    std::vector<uint64_t> all(peers_.size());
    gather(op, std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
    return all;
  }

  void start_sending(size_t r, std::span<const std::byte> bytes) {
    peers_[r].out_header = Writer().number(current_.op).number(current_.number).number(current_.bytes).take();
    peers_[r].out_payload = bytes;
  }

  void start_receiving(size_t r, std::span<std::byte> bytes) {
    Peer& p = peers_[r];
    p.expected = current_;
    if (!p.early.empty()) {
      const auto [header, came] = std::move(p.early.front());
      p.early.pop_front();
      match(r, header);
      return copy(came, bytes);
    }
    p.into = bytes;
    p.wanted = true;
    if (p.closed) control_.lost(ranks_[r], "it closed the connection");
    if (!p.incoming) return;
    match(r, *p.incoming);  // its first bytes came before it was wanted
    copy(std::span<const std::byte>(partial_[r]).first(p.in_done), bytes);
    partial_.erase(r);
  }

  void match(size_t r, const Header& came) {
    const Header& e = peers_[r].expected;
    if (came.op == e.op && came.number == e.number && came.bytes == e.bytes) return;
    const std::string text = fmt::format(
        "[rank {} of {}] is in {} {} of {} bytes, rank {} in {} {} of {} bytes; expected the same call on every rank",
        rank_, size(), name_of(e.op), e.number, e.bytes, r, name_of(came.op), came.number, came.bytes);
    control_.fail(ErrorCode::comm, text);
    wan::fail(ErrorCode::comm, "{}", text);
  }

  /// Until all that was started is done.
  void finish() {
    for (;;) {
      control_.check();
      bool sending = false, receiving = false;
      std::vector<pollfd> fds = {{control_.wake_descriptor(), POLLIN, 0}};
      for (size_t r = 0; r < peers_.size(); ++r) {
        if (static_cast<int>(r) == rank_) continue;
        push(r);
        pull(r, false);
        sending |= peers_[r].sending();
        receiving |= peers_[r].wanted;
      }
      if (!sending && !receiving) return;
      // While something is to be sent, whatever comes is taken in: the others may be sending, too, before they receive.
      for (size_t r = 0; r < peers_.size(); ++r) {
        if (static_cast<int>(r) == rank_) continue;
        if (peers_[r].closed) continue;
        if (sending && !peers_[r].wanted) pull(r, true);
        const bool in = (peers_[r].wanted || sending) && !peers_[r].closed;
        const short events = static_cast<short>((in ? POLLIN : 0) | (peers_[r].sending() ? POLLOUT : 0));
        if (events != 0) fds.push_back({peers_[r].socket.get(), events, 0});
      }
      poll(fds.data(), fds.size(), 1000);
    }
  }

  void push(size_t r) {
    Peer& p = peers_[r];
    while (p.sending()) {
      const bool header = !p.out_header.empty();
      const auto n = write_some(p.socket, header ? std::span<const std::byte>(p.out_header) : p.out_payload);
      if (!n) control_.lost(ranks_[r], "the connection is broken");
      if (*n == 0) return;
      if (header)
        p.out_header.erase(p.out_header.begin(), p.out_header.begin() + static_cast<std::ptrdiff_t>(*n));
      else
        p.out_payload = p.out_payload.subspan(*n);
    }
  }

  /// Takes what rank r has sent, as far as somebody waits for it, or `early` allows more.
  void pull(size_t r, bool early) {
    Peer& p = peers_[r];
    while (p.wanted || early) {
      if (!p.incoming) {
        std::array<std::byte, header_bytes> buffer{};
        const auto n = take(r, std::span(buffer).first(header_bytes - p.in_header.size()));
        if (n == 0) return;
        p.in_header.insert(p.in_header.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
        if (p.in_header.size() < header_bytes) continue;
        Reader in(p.in_header);
        Header h;
        h.op = in.number();
        h.number = in.number();
        h.bytes = in.number();
        p.incoming = h;
        p.in_header.clear();
        p.in_done = 0;
        if (p.wanted) match(r, h);
      }
      if (!take_payload(r)) return;
    }
  }

  /// True when a payload is complete.
  bool take_payload(size_t r) {
    Peer& p = peers_[r];
    Bytes& partial = partial_[r];
    const size_t total = p.wanted ? p.into.size() : static_cast<size_t>(p.incoming->bytes);
    while (p.in_done < total) {
      size_t n = 0;
      if (p.wanted) {
        n = take(r, p.into.subspan(p.in_done));
      } else {  // grows with what has really come
        partial.resize(p.in_done + std::min(total - p.in_done, early_read));
        n = take(r, std::span(partial).subspan(p.in_done));
        partial.resize(p.in_done + n);
      }
      if (n == 0) return false;
      p.in_done += n;
    }
    if (p.wanted)
      p.wanted = false;
    else
      p.early.emplace_back(*p.incoming, std::move(partial));
    partial_.erase(r);
    p.incoming.reset();
    return true;
  }

  size_t take(size_t r, std::span<std::byte> into) {
    const auto n = read_some(peers_[r].socket, into);
    if (n == size_t{0}) {
      if (peers_[r].wanted) control_.lost(ranks_[r], "it closed the connection");
      peers_[r].closed = true;  // it is done, and so are we with it
    }
    return n.value_or(0);
  }

  std::shared_ptr<Connector> connector_;
  Control& control_;
  uint64_t group_;
  std::vector<int> ranks_;  // of this group, as ranks of the job
  int rank_ = 0;
  uint64_t splits_ = 0, collectives_ = 0;
  std::map<size_t, uint64_t> sent_, received_;
  std::vector<Peer> peers_;
  std::map<size_t, Bytes> partial_;  // the beginning of an early payload, by rank
  std::deque<Bytes> own_;            // sent to itself
  Header current_;
};

}  // namespace

std::unique_ptr<Communicator> make_sockets(std::shared_ptr<Control> control) {
  std::vector<int> ranks(static_cast<size_t>(control->size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return std::make_unique<Sockets>(std::make_shared<Connector>(std::move(control)), 0, std::move(ranks));
}

}  // namespace wan::comm
