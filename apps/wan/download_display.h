#pragma once
#include <memory>
#include <string>

#include "options.h"

namespace wan::app {

/// Tells a person or a program how a download goes. Its methods may be called from several threads.
class DownloadDisplay {
 public:
  virtual ~DownloadDisplay() = default;
  virtual void planned(const DownloadPlan& plan) = 0;
  virtual void progress(const DownloadProgress& progress) = 0;
  virtual void file(const std::string& path) = 0;
  virtual void note(const std::string& text) = 0;
  virtual void finished(const DownloadResult& result) = 0;
  /// The download ends early; the program prints the message itself.
  virtual void failed(ErrorCode code, const std::string& message) = 0;
};

/// A bar on a terminal, lines elsewhere, JSON lines with --json, notes alone with --quiet.
std::unique_ptr<DownloadDisplay> make_download_display(const Options& options);

/// An event per line on stdout: "plan", "progress", "file", "note", "result", "error".
std::unique_ptr<DownloadDisplay> make_download_json();

}  // namespace wan::app
