#include "wan/download.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>

#include "core/error.h"
#include "hub/download_files.h"
#include "hub/files.h"
#include "hub/layout.h"
#include "hub/selection.h"
#include "hub/source.h"
#include "hub/speed.h"
#include "hub/transfer.h"
#include "io/printable.h"

namespace wan::hub {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

ModelName model_of(const DownloadOptions& options) {
  auto name = parse_model_name(options.model);
  require(name.has_value(), ErrorCode::invalid_argument,
          "[download] {} is no model; expected t2v-A14B, i2v-A14B, ti2v-5B, or the name of a repository such as "
          "Wan-AI/Wan2.2-TI2V-5B, with @revision or without",
          io::printable(options.model));
  if (name->revision.empty()) name->revision = default_revision(options.source);
  return *name;
}

void check_options(const DownloadOptions& options) {
  require(options.connections >= 1 && options.connections <= 64, ErrorCode::invalid_argument,
          "[download] {} connections; expected 1 to 64", options.connections);
  require(options.answer_timeout >= 1 && options.stall_timeout >= 1, ErrorCode::invalid_argument,
          "[download] a time limit below 1 s; expected 1 or more");
  require(
      !options.bf16 || !options.local_dir.empty(), ErrorCode::invalid_argument,
      "[download] bf16 needs a folder of its own: the cache holds the hub's files as they are, for Python too; give "
      "--local_dir");
  require(!options.cache.empty() || !options.local_dir.empty(), ErrorCode::invalid_argument,
          "[download] no folder for the model was given");
}

DownloadResult from_disk(const DownloadOptions& options, const ModelName& name) {
  DownloadResult result{.repo = name.repo};
  if (!options.local_dir.empty()) {
    result.folder = options.local_dir;
  } else if (const auto snapshot = find_snapshot(options.cache, name)) {
    result.folder = *snapshot;
    result.commit = snapshot->filename().string();
  }
  require(!result.folder.empty() && (options.all || is_complete_checkpoint(result.folder)), ErrorCode::invalid_argument,
          "[{}] is not on this machine as a whole, and the network is switched off (HF_HUB_OFFLINE or --offline): "
          "switch it on",
          name.repo);
  return result;
}

class Download {
 public:
  Download(Session& session, const DownloadOptions& options, const DownloadHooks& hooks, const ModelName& name)
      : session_(session),
        options_(options),
        hooks_(hooks),
        name_(name),
        source_(make_source(options.source, session, name)) {}

  DownloadResult run() {
    const auto start = Clock::now();
    HttpClient client(session_.settings().answer_timeout);
    const Listing listing = source_->list(client);
    const auto files = options_.all ? listing.files : select_checkpoint_files(listing.files, name_.repo);
    if (options_.local_dir.empty())
      layout_ = make_cache_layout(options_.cache, name_, listing.commit);
    else
      layout_ = options_.bf16 ? make_bf16_folder_layout(options_.local_dir, listing.commit)
                              : make_folder_layout(options_.local_dir, listing.commit);
    plan(files, listing.commit);
    if (hooks_.on_plan) hooks_.on_plan(plan_);
    const int64_t received = fetch();
    layout_->complete();
    return {name_.repo,        listing.commit, layout_->folder(),   plan_.files,
            plan_.total_bytes, received,       seconds_since(start)};
  }

 private:
  // Sorts out what is there and takes over what has come in part.
  void plan(const std::vector<RemoteFile>& files, const std::string& commit) {
    plan_ = {.repo = name_.repo, .revision = name_.revision, .commit = commit, .folder = layout_->folder()};
    std::map<std::string, std::vector<RemoteFile>> homes;  // the files that one content serves
    for (const RemoteFile& file : files) {
      ++plan_.files;
      plan_.total_bytes += file.size;
      homes[layout_->home(file).string()].push_back(file);
    }
    int64_t to_come = 0, largest_converted = 0;
    for (const auto& home : homes) {
      const std::vector<RemoteFile>& group = home.second;
      const RemoteFile& file = group.front();
      const auto bytes = file.size * static_cast<int64_t>(group.size());
      std::unique_ptr<Partial> partial;
      if (!is_present(file)) partial = claim(file);
      if (!partial) {
        Partial::sweep(layout_->partials(), layout_->stem(file));
        for (const RemoteFile& each : group) layout_->publish(each);
        plan_.present_bytes += bytes;
        present_files_ += static_cast<int64_t>(group.size());
        present_whole_bytes_ += bytes;
        continue;
      }
      const bool converts = layout_->converts(file);
      // Half the size stays of what is converted, and while that goes on the one file is there as well.
      if (converts) largest_converted = std::max(largest_converted, file.size);
      to_come += converts ? file.size / 2 : file.size - partial->done();
      plan_.present_bytes += partial->done();
      // The same content under other paths costs nothing more.
      const int64_t copies = bytes - file.size;
      plan_.present_bytes += copies;
      present_whole_bytes_ += copies;
      present_files_ += static_cast<int64_t>(group.size()) - 1;
      auto task = std::make_unique<Task>();
      task->file = file;
      task->converts = converts;
      task->partial = std::move(partial);
      task->on_complete = [this, group] {
        for (const RemoteFile& each : group) layout_->publish(each);
        const std::lock_guard lock(on_file_);
        if (hooks_.on_file)
          for (const RemoteFile& each : group) hooks_.on_file(each.path);
      };
      tasks_.push_back(std::move(task));
    }
    check_space(layout_->partials(), to_come + largest_converted);
    for (const auto& task : tasks_) task->partial->begin();
  }

  bool is_present(const RemoteFile& file) {
    return layout_->is_present(
        file, [&] { session_.note(fmt::format("{} is there already; comparing its hash", file.path)); },
        [&](int64_t) { session_.check(); });
  }

  // Null if another process has completed the file meanwhile.
  std::unique_ptr<Partial> claim(const RemoteFile& file) {
    layout_->prepare(file);
    bool told = false;
    return Partial::claim(layout_->partials(), layout_->stem(file), file, [&] {
      if (!told) session_.note(fmt::format("another process is fetching {}; waiting for it", file.path));
      told = true;
      session_.wait(1);
      return layout_->is_present(
          file, [] {}, [&](int64_t) { session_.check(); });
    });
  }

  int64_t fetch() {
    Transfer transfer(session_, *source_, *layout_, std::move(tasks_));
    Speed speed;
    transfer.run(options_.connections, [&](const TransferState& state) {
      if (!hooks_.on_progress) return;
      DownloadProgress p{.done_bytes = present_whole_bytes_ + state.done_bytes,
                         .total_bytes = plan_.total_bytes,
                         .verified_bytes = present_whole_bytes_ + state.hashed_bytes,
                         .done_files = present_files_ + state.done_files,
                         .total_files = plan_.files};
      p.bytes_per_second = speed.add(p.done_bytes);
      if (p.bytes_per_second > 0)
        p.seconds_left = static_cast<double>(p.total_bytes - p.done_bytes) / p.bytes_per_second;
      hooks_.on_progress(p);
    });
    return transfer.received_bytes();
  }

  Session& session_;
  const DownloadOptions& options_;
  const DownloadHooks& hooks_;
  const ModelName name_;
  const std::unique_ptr<Source> source_;
  std::unique_ptr<Layout> layout_;
  DownloadPlan plan_;
  int64_t present_files_ = 0, present_whole_bytes_ = 0;
  std::vector<std::unique_ptr<Task>> tasks_;
  std::mutex on_file_;
};

}  // namespace

DownloadResult download_files(const DownloadOptions& options, const DownloadHooks& hooks, const RetryPolicy& retry) {
  check_options(options);
  const ModelName name = model_of(options);
  if (options.offline) return from_disk(options, name);
  Settings settings{.endpoint = options.endpoint.empty() ? default_endpoint(options.source) : options.endpoint,
                    .token = options.token,
                    .answer_timeout = options.answer_timeout,
                    .stall_timeout = options.stall_timeout,
                    .retry = retry};
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  require(
      std::all_of(settings.token.begin(), settings.token.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; }),
      ErrorCode::invalid_argument, "[download] the token has characters that no token has: check HF_TOKEN");
  Session session(std::move(settings), hooks.on_note, hooks.cancel);
  return Download(session, options, hooks, name).run();
}

}  // namespace wan::hub

namespace wan {

DownloadResult download(const DownloadOptions& options, const DownloadHooks& hooks) {
  return hub::download_files(options, hooks, {});
}

}  // namespace wan
