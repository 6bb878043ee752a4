#pragma once
#include <memory>
#include <string>

#include "options.h"

namespace wan::app {

/// Tells a person or a program how a generation goes. Results' paths are not its business.
class Reporter {
 public:
  virtual ~Reporter() = default;
  /// A video begins: the request with all defaults filled in, and its place among all videos (from 1).
  virtual void started(const Request& request, Task task, size_t number, size_t count) = 0;
  virtual void progress(const Progress& progress) = 0;
  virtual void note(const std::string& text) = 0;
  virtual void finished(const Result& result) = 0;
  /// The generation ends early; the program prints the message itself.
  virtual void failed(ErrorCode code, const std::string& message) = 0;
};

std::unique_ptr<Reporter> make_bar(const Environment& environment);  ///< a bar that is redrawn, on a terminal's stderr
std::unique_ptr<Reporter> make_log_lines();                          ///< plain lines on stderr
std::unique_ptr<Reporter> make_json_lines();                         ///< an event per line on stdout
std::unique_ptr<Reporter> make_silent();                             ///< notes alone
std::unique_ptr<Reporter> make_reporter(const Options& options);

/// What bar and lines share.
std::string describe(const Request& request, Task task, size_t number, size_t count);
std::string describe(const Result& result);
/// "3/40", "high noise", "12.3 s/step", "7m41s left", as far as known. seconds_left as of now.
std::string counters(const Progress& progress, double seconds_left);

}  // namespace wan::app
