#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "support/http_server.h"

namespace wan::test {

/// A hub for tests that speaks the protocols of the Hugging Face Hub and of ModelScope for one repository. Large files
/// (is_large) are redirected to a second server on another port, with links that may expire, as the Hub does it.
class HubServer {
 public:
  struct File {
    std::string content;
    bool is_large = false;
    std::string promised;  ///< the hash in list and headers, if not the content's
  };
  struct Seen {
    bool cdn = false;
    HttpQuery query;
    int status = 0;
  };

  using Alter = std::function<void(const HttpQuery&, bool cdn, HttpReply&)>;
  /// A function that may be replaced while the servers run.
  class Alteration {
   public:
    Alteration& operator=(Alter alter) {
      const std::lock_guard lock(mutex_);
      alter_ = std::move(alter);
      return *this;
    }
    void apply(const HttpQuery& query, bool cdn, HttpReply& reply) {
      const std::lock_guard lock(mutex_);
      if (alter_) alter_(query, cdn, reply);
    }

   private:
    std::mutex mutex_;
    Alter alter_;
  };

  explicit HubServer(std::string repo, std::map<std::string, File> files, int port = 0);

  std::string url() const { return hub_.url(); }
  const std::string& repo() const { return repo_; }
  const std::string& commit() const { return commit_; }
  const File& file(const std::string& path) const { return files_.at(path); }
  std::string hash(const std::string& path) const;

  // Set these before the first request.
  size_t page_size = 1000;  ///< entries in a page of the list
  std::string token;        ///< what Authorization must have at the hub; empty: anything
  // This at any time.
  Alteration alter;  ///< changes the right reply; calls are one at a time

  /// Links given out so far get 403.
  void expire_links();
  std::vector<Seen> seen() const;
  /// Requests for bytes of files.
  size_t count(const std::string& method, bool cdn) const;
  int64_t body_bytes() const;  ///< of all replies to the cdn's GETs, as meant to be sent

 private:
  HttpReply reply(const HttpQuery& query, bool cdn);
  HttpReply hub_reply(const HttpQuery& query);
  HttpReply revision(const std::string& name) const;
  HttpReply tree(const HttpQuery& query) const;
  HttpReply resolve(const HttpQuery& query, const std::string& path);
  HttpReply modelscope_list() const;
  HttpReply content(const HttpQuery& query, const std::string& path) const;

  const std::string repo_;
  const std::string commit_ = "0123456789abcdef0123456789abcdef01234567";
  std::map<std::string, File> files_;
  mutable std::mutex mutex_;
  std::vector<Seen> seen_;
  int64_t body_bytes_ = 0;
  int link_age_ = 0;
  HttpServer cdn_, hub_;  // last: their threads use all of the above
};

/// `size` bytes that look random, the same for the same seed.
std::string noise(size_t size, unsigned seed);

/// The files of a repository of an A14B model that wan would fetch, and three that it would not (README.md,
/// assets/logo.png, .gitattributes). `scale` bytes in each large file, more or less.
std::map<std::string, HubServer::File> checkpoint_files(size_t scale);

}  // namespace wan::test
