#include <cstring>
#include <deque>
#include <vector>

#include "comm/communicator.h"
#include "core/error.h"

namespace wan::comm {
namespace {

class Single final : public Communicator {
 public:
  int rank() const noexcept override { return 0; }
  int size() const noexcept override { return 1; }
  std::unique_ptr<Communicator> split(int) override { return make_single(); }

  void all_to_all(std::span<const std::byte> from, std::span<std::byte> to, void*) override { copy(from, to); }
  void all_gather(std::span<const std::byte> from, std::span<std::byte> to, void*) override { copy(from, to); }
  void all_reduce(std::span<float>, Reduction, void*) override {}
  void send(std::span<const std::byte> bytes, int to, void*) override {
    check_peer(to);
    queue_.emplace_back(bytes.begin(), bytes.end());
  }
  void receive(std::span<std::byte> bytes, int from, void*) override {
    check_peer(from);
    require(!queue_.empty(), ErrorCode::comm, "[rank 0 of 1] receives from itself, but sent nothing before");
    const std::vector<std::byte> message = std::move(queue_.front());
    queue_.pop_front();
    copy(message, bytes);
  }
  void barrier(void*) override {}

 private:
  static void copy(std::span<const std::byte> from, std::span<std::byte> to) {
    require(from.size() == to.size(), ErrorCode::comm, "[rank 0 of 1] {} bytes were sent, {} are expected", from.size(),
            to.size());
    if (!from.empty()) std::memmove(to.data(), from.data(), from.size());
  }
  static void check_peer(int peer) { require(peer == 0, ErrorCode::comm, "[rank 0 of 1] there is no rank {}", peer); }

  std::deque<std::vector<std::byte>> queue_;
};

}  // namespace

std::unique_ptr<Communicator> make_single() { return std::make_unique<Single>(); }

}  // namespace wan::comm
