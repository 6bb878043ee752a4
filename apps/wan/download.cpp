#include "commands.h"
#include "download_display.h"
#include "signals.h"
#include "transfer_run.h"

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
  return run_transfer(*display, signals, "the model", [&] {
    const DownloadResult result = download(options.download.download, hooks);
    display->finished(result);
    return result.folder;
  });
}

}  // namespace wan::app
