#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace wan::comm {

enum class Reduction : uint8_t { sum, max };

/// Collectives among the ranks of a group. Buffers are bytes of one device; calls are ordered on `stream` (absent on
/// the CPU, where they are done on return) and never synchronise the host otherwise. Every rank makes the same calls
/// in the same order. Throws Error(comm) naming the rank that failed.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const noexcept = 0;
  virtual int size() const noexcept = 0;

  /// The ranks that give the same colour, ordered by their rank here.
  virtual std::unique_ptr<Communicator> split(int colour) = 0;

  /// Block r of `send` goes to rank r; block r of `receive` comes from rank r. Both hold size() equal blocks.
  virtual void all_to_all(std::span<const std::byte> send, std::span<std::byte> receive, void* stream) = 0;
  /// receive = the ranks' `send` in rank order; receive.size() = size() * send.size().
  virtual void all_gather(std::span<const std::byte> send, std::span<std::byte> receive, void* stream) = 0;
  /// values = the element-wise reduction over the ranks.
  virtual void all_reduce(std::span<float> values, Reduction reduction, void* stream) = 0;
  virtual void send(std::span<const std::byte> bytes, int to, void* stream) = 0;
  virtual void receive(std::span<std::byte> bytes, int from, void* stream) = 0;
  virtual void barrier(void* stream) = 0;
};

/// One rank alone: copies from input to output. Sending to oneself waits in a queue for the matching receive.
std::unique_ptr<Communicator> make_single();

}  // namespace wan::comm
