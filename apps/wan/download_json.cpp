#include <mutex>

#include "download_display.h"
#include "json_events.h"

namespace wan::app {
namespace {

class JsonLines final : public DownloadDisplay {
 public:
  void planned(const DownloadPlan& p) override {
    print({{"event", "plan"},
           {"version", version()},
           {"repo", p.repo},
           {"revision", p.revision},
           {"commit", p.commit},
           {"folder", p.folder.string()},
           {"files", p.files},
           {"total_bytes", p.total_bytes},
           {"present_bytes", p.present_bytes}});
  }

  void progress(const DownloadProgress& p) override {
    print({{"event", "progress"},
           {"done_bytes", p.done_bytes},
           {"total_bytes", p.total_bytes},
           {"verified_bytes", p.verified_bytes},
           {"done_files", p.done_files},
           {"total_files", p.total_files},
           {"bytes_per_second", known(p.bytes_per_second, p.bytes_per_second > 0)},
           {"seconds_left", known(p.seconds_left, p.seconds_left >= 0)}});
  }

  void file(const std::string& path) override { print({{"event", "file"}, {"path", path}}); }
  void note(const std::string& text) override { print({{"event", "note"}, {"text", text}}); }

  void finished(const DownloadResult& r) override {
    print({{"event", "result"},
           {"repo", r.repo},
           {"commit", r.commit},
           {"path", r.folder.string()},
           {"files", r.files},
           {"total_bytes", r.total_bytes},
           {"fetched_bytes", r.fetched_bytes},
           {"seconds", r.seconds}});
  }

  void failed(ErrorCode code, const std::string& message) override {
    print({{"event", "error"}, {"code", to_string(code)}, {"message", message}});
  }

 private:
  void print(const Json& event) {
    const std::lock_guard lock(mutex_);
    print_event(event);
  }

  std::mutex mutex_;
};

}  // namespace

std::unique_ptr<DownloadDisplay> make_download_json() { return std::make_unique<JsonLines>(); }

}  // namespace wan::app
