#pragma once
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace wan::comm {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// Owns a socket, or any other descriptor that poll() takes. Sockets made here do not block.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) noexcept : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { close(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void close() noexcept;

 private:
  int fd_ = -1;
};

/// Where a process listens: a port of a machine, or a name on this machine that only this user's processes can take
/// part in (an abstract socket: it is gone with the process that listens).
struct Place {
  std::string address;
  int port = 0;
  std::string job;  ///< the name; used if there is no address

  std::string text() const;
};

/// Listens; on all of the machine's addresses, unless the place is a loopback address. Throws Error(comm) with the
/// reason.
Socket listen_at(const Place& place);
/// Listens at any free port of all addresses.
Socket listen_anywhere();
int port_of(const Socket& listener);

/// One try to connect within `limit`; empty with the reason in `problem` if it fails.
Socket connect_to(const Place& place, milliseconds limit, std::string& problem);

/// The next connection that waits; empty if there is none. On a named place only this user's processes are accepted.
Socket accept_one(const Socket& listener);

/// The other end's numeric address; empty on a named place, and for this machine's loopback.
std::string peer_address(const Socket& socket);

/// Reads what is there: the number of bytes, 0 if the other end closed or failed, nothing if no bytes are there yet.
std::optional<size_t> read_some(const Socket& socket, std::span<std::byte> into) noexcept;
/// Writes what fits at the moment: the number of bytes, nothing if the connection has failed.
std::optional<size_t> write_some(const Socket& socket, std::span<const std::byte> bytes) noexcept;
/// Writes all within the limit, or returns false.
bool write_all(const Socket& socket, std::span<const std::byte> bytes, milliseconds limit) noexcept;

/// Tells the other end that no more comes, and reads on until it closes or the limit is over: closing at once could
/// take back what it has not read yet.
void finish_writing(const Socket& socket, milliseconds limit) noexcept;

}  // namespace wan::comm
