#include "support/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <stdexcept>

namespace wan::test {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string decoded(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool send_all(int connection, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = send(connection, data, size, MSG_NOSIGNAL);
    if (n <= 0) return false;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

// Reads on until an empty line ends the head; false at the connection's end.
bool read_head(int connection, std::string& buffer, std::string& head) {
  for (;;) {
    if (const size_t end = buffer.find("\r\n\r\n"); end != std::string::npos) {
      head = buffer.substr(0, end + 2);
      buffer.erase(0, end + 4);
      return true;
    }
    std::array<char, 4096> piece{};
    const ssize_t n = recv(connection, piece.data(), piece.size(), 0);
    if (n <= 0) return false;
    buffer.append(piece.data(), static_cast<size_t>(n));
  }
}

HttpQuery parse(const std::string& head) {
  HttpQuery query;
  const size_t method_end = head.find(' '), target_end = head.find(' ', method_end + 1);
  query.method = head.substr(0, method_end);
  query.target = head.substr(method_end + 1, target_end - method_end - 1);
  query.path = decoded(query.target.substr(0, query.target.find('?')));
  for (size_t at = head.find("\r\n") + 2; at < head.size();) {
    const size_t end = head.find("\r\n", at), colon = head.find(':', at);
    if (colon < end) {
      size_t value = colon + 1;
      while (value < end && head[value] == ' ') ++value;
      query.headers[lower(head.substr(at, colon - at))] = head.substr(value, end - value);
    }
    at = end + 2;
  }
  return query;
}

// False if the connection is to be closed.
bool answer(int connection, const HttpQuery& query, const HttpReply& reply, const std::atomic<bool>& closing) {
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " x\r\n";
  for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
  const auto size = static_cast<int64_t>(reply.body.size());
  if (reply.announced != -2)
    head += "Content-Length: " + std::to_string(reply.announced >= 0 ? reply.announced : size) + "\r\n";
  else
    head += "Connection: close\r\n";
  head += "\r\n";
  if (!send_all(connection, head.data(), head.size())) return false;
  if (query.method == "HEAD") return true;
  const int64_t end = reply.cut_after >= 0 ? std::min(size, reply.cut_after) : size;
  const int64_t step =
      reply.bytes_per_second > 0 ? std::max<int64_t>(1, reply.bytes_per_second / 100) : int64_t{1} << 20;
  for (int64_t at = 0; at < end; at += step) {
    if (closing || !send_all(connection, reply.body.data() + at, static_cast<size_t>(std::min(step, end - at))))
      return false;
    if (reply.bytes_per_second > 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return end == size && reply.announced < 0 && reply.announced != -2;
}

}  // namespace

std::string HttpQuery::header(const std::string& name) const {
  const auto it = headers.find(name);
  return it == headers.end() ? "" : it->second;
}

HttpServer::HttpServer(Handler handler, int port) : handler_(std::move(handler)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  socklen_t size = sizeof address;
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || bind(listener_, raw, size) != 0 || listen(listener_, 64) != 0 ||
      getsockname(listener_, raw, &size) != 0)
    throw std::runtime_error("no server can be started on 127.0.0.1");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

HttpServer::~HttpServer() {
  closing_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int connection : connections_) shutdown(connection, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
  close(listener_);
}

void HttpServer::accept_all() {
  for (;;) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (closing_) {
      if (connection >= 0) close(connection);
      return;
    }
    if (connection < 0) continue;
    const int on = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const std::lock_guard lock(mutex_);
    connections_.push_back(connection);
    threads_.emplace_back([this, connection] { serve(connection); });
  }
}

void HttpServer::serve(int connection) {
  std::string buffer, head;
  while (!closing_ && read_head(connection, buffer, head)) {
    const HttpQuery query = parse(head);
    if (!answer(connection, query, handler_(query), closing_)) break;
  }
  const std::lock_guard lock(mutex_);
  std::erase(connections_, connection);
  close(connection);
}

}  // namespace wan::test
