#include "comm/socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

#include "core/error.h"

namespace wan::comm {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

struct FreeAddresses {
  void operator()(addrinfo* list) const noexcept { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Addresses resolve(const Place& place, std::string& problem) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(place.address.c_str(), std::to_string(place.port).c_str(), &hints, &list);
  if (error != 0) problem = fmt::format("'{}' is not a known machine: {}", place.address, gai_strerror(error));
  return Addresses(error == 0 ? list : nullptr);
}

uint64_t hash(std::string_view text, uint64_t h) {  // FNV-1a
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

socklen_t name_on_this_machine(const std::string& job, sockaddr_un& address) {
  const std::string name =
      fmt::format("wan-{}-{:016x}{:016x}", getuid(), hash(job, 0xcbf29ce484222325u), hash(job, 0x9e3779b97f4a7c15u));
  address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), address.sun_path + 1);  // the first byte is 0: no file
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

Socket make(int family) {
  Socket s(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (s && family != AF_UNIX) setsockopt(s.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return s;
}

bool is_loopback(const sockaddr* address) {
  if (address->sa_family == AF_INET)
    return (ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> 24) == 127;
  if (address->sa_family != AF_INET6) return false;
  const in6_addr& a = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&a) || (IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr[12] == 127);
}

/// Binds and listens; an empty socket with errno set if that fails.
Socket listen_on(int family, const sockaddr* address, socklen_t size) {
  Socket s = make(family);
  const int on = 1, off = 0;
  if (!s) return s;
  if (family != AF_UNIX) setsockopt(s.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) setsockopt(s.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (bind(s.get(), address, size) != 0 || listen(s.get(), 256) != 0) {
    const int error = errno;
    s.close();
    errno = error;
  }
  return s;
}

Socket listen_on_port(int port) {
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_addr = in6addr_any;
  six.sin6_port = htons(static_cast<uint16_t>(port));
  if (Socket s = listen_on(AF_INET6, reinterpret_cast<sockaddr*>(&six), sizeof six)) return s;
  if (errno == EADDRINUSE) return {};
  sockaddr_in four{};  // a machine without IPv6
  four.sin_family = AF_INET;
  four.sin_port = htons(static_cast<uint16_t>(port));
  return listen_on(AF_INET, reinterpret_cast<sockaddr*>(&four), sizeof four);
}

bool wait(int fd, short events, milliseconds limit) noexcept {
  pollfd p{fd, events, 0};
  return poll(&p, 1, static_cast<int>(std::max<int64_t>(limit.count(), 0))) == 1;
}

bool same_user(const Socket& s) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(s.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == getuid();
}

Socket connect_one(int family, const sockaddr* address, socklen_t size, milliseconds limit, std::string& problem) {
  Socket s = make(family);
  int error = 0;
  if (!s || (::connect(s.get(), address, size) != 0 && errno != EINPROGRESS)) {
    error = errno;
  } else if (!wait(s.get(), POLLOUT, limit)) {
    error = ETIMEDOUT;
  } else {
    socklen_t length = sizeof error;
    getsockopt(s.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  }
  if (error == 0 && family == AF_UNIX && !same_user(s)) error = EPERM;
  if (error == 0) return s;
  problem = reason(error);
  return {};
}

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Socket::close() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

std::string Place::text() const {
  return address.empty() ? fmt::format("the name '{}' on this machine", job) : fmt::format("{}:{}", address, port);
}

Socket listen_at(const Place& place) {
  Socket s;
  std::string problem;
  if (place.address.empty()) {
    sockaddr_un name{};
    s = listen_on(AF_UNIX, reinterpret_cast<sockaddr*>(&name), name_on_this_machine(place.job, name));
    problem = reason(errno);
  } else if (const Addresses list = resolve(place, problem)) {
    s = is_loopback(list->ai_addr) ? listen_on(list->ai_family, list->ai_addr, list->ai_addrlen)
                                   : listen_on_port(place.port);
    problem = reason(errno);
  }
  require(static_cast<bool>(s), ErrorCode::comm,
          "[ranks] rank 0 cannot listen at {}: {}. Expected a free place: another job, or another process that says "
          "that it is rank 0, may have it; choose another MASTER_PORT",
          place.text(), problem);
  return s;
}

Socket listen_anywhere() {
  Socket s = listen_on_port(0);
  require(static_cast<bool>(s), ErrorCode::comm, "[ranks] no port to listen at: {}", reason(errno));
  return s;
}

int port_of(const Socket& listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
  return address.ss_family == AF_INET ? ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port) : 0;
}

Socket connect_to(const Place& place, milliseconds limit, std::string& problem) {
  if (place.address.empty()) {
    sockaddr_un name{};
    const socklen_t size = name_on_this_machine(place.job, name);
    return connect_one(AF_UNIX, reinterpret_cast<sockaddr*>(&name), size, limit, problem);
  }
  const Addresses list = resolve(place, problem);
  for (const addrinfo* a = list.get(); a != nullptr; a = a->ai_next)
    if (Socket s = connect_one(a->ai_family, a->ai_addr, a->ai_addrlen, limit, problem)) return s;
  return {};
}

Socket accept_one(const Socket& listener) {
  Socket s(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!s) return s;
  int family = 0;
  socklen_t size = sizeof family;
  getsockopt(s.get(), SOL_SOCKET, SO_DOMAIN, &family, &size);
  if (family != AF_UNIX) {
    const int on = 1;
    setsockopt(s.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  } else if (!same_user(s)) {
    s.close();
  }
  return s;
}

std::string peer_address(const Socket& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (getpeername(socket.get(), any, &size) != 0 || address.ss_family == AF_UNIX || is_loopback(any)) return "";
  std::array<char, NI_MAXHOST> text{};
  if (getnameinfo(any, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) return "";
  const std::string out = text.data();
  return out.starts_with("::ffff:") ? out.substr(7) : out;
}

std::optional<size_t> read_some(const Socket& socket, std::span<std::byte> into) noexcept {
  const ssize_t n = recv(socket.get(), into.data(), into.size(), 0);
  if (n >= 0) return static_cast<size_t>(n);
  if (errno == EAGAIN || errno == EINTR) return std::nullopt;
  return 0;
}

std::optional<size_t> write_some(const Socket& socket, std::span<const std::byte> bytes) noexcept {
  const ssize_t n = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n >= 0) return static_cast<size_t>(n);
  if (errno == EAGAIN || errno == EINTR) return 0;
  return std::nullopt;
}

bool write_all(const Socket& socket, std::span<const std::byte> bytes, milliseconds limit) noexcept {
  const auto end = Clock::now() + limit;
  while (!bytes.empty()) {
    const auto n = write_some(socket, bytes);
    if (!n) return false;
    bytes = bytes.subspan(*n);
    if (bytes.empty()) break;
    const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now());
    if (left.count() <= 0 || !wait(socket.get(), POLLOUT, left)) return false;
  }
  return true;
}

void finish_writing(const Socket& socket, milliseconds limit) noexcept {
  const auto end = Clock::now() + limit;
  ::shutdown(socket.get(), SHUT_WR);
  std::array<std::byte, 4096> ignored{};
  for (;;) {
    const auto n = read_some(socket, ignored);
    if (n == size_t{0}) return;
    const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now());
    if (left.count() <= 0 || (!n && !wait(socket.get(), POLLIN, left))) return;
  }
}

}  // namespace wan::comm
