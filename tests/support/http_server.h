#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace wan::test {

struct HttpQuery {
  std::string method;
  std::string target;                          ///< as it came: path and query
  std::string path;                            ///< decoded, without the query
  std::map<std::string, std::string> headers;  ///< names in lower case

  std::string header(const std::string& name) const;
  bool has(const std::string& name) const { return headers.contains(name); }
};

struct HttpReply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  int64_t announced = -1;        ///< Content-Length, if not the body's; -2: none, the end of the connection is the end
  int64_t cut_after = -1;        ///< closes the connection after so many bytes of the body
  int64_t bytes_per_second = 0;  ///< 0: as fast as it goes
};

/// An HTTP/1.1 server on a port of its own of 127.0.0.1, a thread per connection. It does what its handler says, also
/// what no server should do.
class HttpServer {
 public:
  using Handler = std::function<HttpReply(const HttpQuery&)>;
  explicit HttpServer(Handler handler, int port = 0);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  void accept_all();
  void serve(int connection);

  const Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> closing_{false};
  std::mutex mutex_;
  std::vector<int> connections_;  // open ones
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace wan::test
