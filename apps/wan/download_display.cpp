#include "download_display.h"

#include <fmt/format.h>

#include "transfer_display.h"
#include "values.h"

namespace wan::app {
namespace {

std::string describe(const DownloadPlan& p) {
  std::string text = fmt::format("{} at {}: {} files, {}, into {}", p.repo, p.commit.substr(0, 12), p.files,
                                 display_bytes(p.total_bytes), p.folder.string());
  if (p.present_bytes > 0) text += fmt::format("; {} of it are there", display_bytes(p.present_bytes));
  return text;
}

std::string describe(const DownloadResult& r) {
  if (r.commit.empty() || r.files == 0) return fmt::format("{} is there", r.repo);
  if (r.fetched_bytes == 0)
    return fmt::format("{}: all {} files were there, {}", r.repo, r.files, display_bytes(r.total_bytes));
  return fmt::format("{}: {} fetched and verified in {}; {} files, {}", r.repo, display_bytes(r.fetched_bytes),
                     duration(r.seconds), r.files, display_bytes(r.total_bytes));
}

class Described final : public DownloadDisplay {
 public:
  explicit Described(std::unique_ptr<TransferDisplay> out) : out_(std::move(out)) {}
  void planned(const DownloadPlan& plan) override { out_->line(describe(plan)); }
  void progress(const DownloadProgress& p) override {
    out_->progress({p.done_bytes, p.total_bytes, p.done_files, p.total_files, p.bytes_per_second, p.seconds_left});
  }
  void file(const std::string& path) override { out_->file(path + ": complete"); }
  void note(const std::string& text) override { out_->note(text); }
  void finished(const DownloadResult& result) override { out_->line(describe(result)); }
  void failed(ErrorCode, const std::string&) override { out_->clear(); }

 private:
  const std::unique_ptr<TransferDisplay> out_;
};

}  // namespace

std::unique_ptr<DownloadDisplay> make_download_display(const Options& options) {
  if (options.download.json) return make_download_json();
  return std::make_unique<Described>(make_transfer_display(options.environment, options.download.quiet));
}

}  // namespace wan::app
