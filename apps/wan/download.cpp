#include <fmt/format.h>

#include "commands.h"
#include "download_display.h"
#include "signals.h"
#include "values.h"

namespace wan::app {

int run_download(const Options& options) {
  const StopSignals signals("stopping; what has come is kept");
  const auto display = make_download_display(options);
  DownloadHooks hooks;
  hooks.on_plan = [&](const DownloadPlan& plan) { display->planned(plan); };
  hooks.on_progress = [&](const DownloadProgress& progress) { display->progress(progress); };
  hooks.on_file = [&](const std::string& path) { display->file(path); };
  hooks.on_note = [&](const std::string& text) { display->note(text); };
  hooks.cancel = signals.flag();
  try {
    const DownloadResult result = download(options.download.download, hooks);
    display->finished(result);
    fmt::print(stdout, "{}\n", result.folder.string());
    if (std::fflush(stdout) != 0)
      throw Error(ErrorCode::bad_file,
                  fmt::format("[stdout] could not be written; the model is in {}", result.folder.string()));
    return 0;
  } catch (const Error& e) {
    display->failed(e.code(), e.what());
    if (e.code() != ErrorCode::cancelled || signals.received() == 0) throw;
    fmt::print(stderr, "wan: stopped by signal {}; the same command goes on\n", signals.received());
    return 128 + signals.received();
  }
}

}  // namespace wan::app
