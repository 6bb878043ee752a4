#include <fmt/format.h>

#include "commands.h"
#include "json_events.h"
#include "signals.h"
#include "transfer_display.h"
#include "transfer_run.h"
#include "values.h"

namespace wan::app {
namespace {

/// Tells a person or a program how a conversion, or a comparison of one, goes.
class ConvertDisplay {
 public:
  virtual ~ConvertDisplay() = default;
  virtual void planned(const ConvertPlan& plan) = 0;
  virtual void progress(const ConvertProgress& progress) = 0;
  virtual void file(const std::string& path) = 0;
  virtual void note(const std::string& text) = 0;
  virtual void finished(const ConvertResult& result) = 0;
  virtual void failed(ErrorCode code, const std::string& message) = 0;
};

class Text final : public ConvertDisplay {
 public:
  Text(const Options& options)
      : verify_(options.convert.verify), out_(make_transfer_display(options.environment, options.convert.quiet)) {}

  void planned(const ConvertPlan& p) override {
    std::string text = fmt::format("{}: {} files, {}", p.output.string(), p.files, display_bytes(p.total_bytes));
    if (p.present_bytes > 0) text += fmt::format("; {} of it are there", display_bytes(p.present_bytes));
    out_->line(text);
  }
  void progress(const ConvertProgress& p) override {
    out_->progress({p.done_bytes, p.total_bytes, p.done_files, p.total_files, p.bytes_per_second, p.seconds_left});
  }
  void file(const std::string& path) override { out_->file(path + (verify_ ? ": as it was written" : ": complete")); }
  void note(const std::string& text) override { out_->note(text); }
  void finished(const ConvertResult& r) override {
    if (verify_)
      out_->line(fmt::format("{}: all {} files are as they were written, {}", r.folder.string(), r.files,
                             display_bytes(r.total_bytes)));
    else
      out_->line(fmt::format("{}: {} written in {}; {} files, {}", r.folder.string(), display_bytes(r.written_bytes),
                             duration(r.seconds), r.files, display_bytes(r.total_bytes)));
  }
  void failed(ErrorCode, const std::string&) override { out_->clear(); }

 private:
  const bool verify_;
  const std::unique_ptr<TransferDisplay> out_;
};

// An event per line on stdout: "plan", "progress", "file", "note", "result", "error".
class JsonLines final : public ConvertDisplay {
 public:
  void planned(const ConvertPlan& p) override {
    print_event({{"event", "plan"},
                 {"version", version()},
                 {"folder", p.output.string()},
                 {"files", p.files},
                 {"total_bytes", p.total_bytes},
                 {"present_bytes", p.present_bytes}});
  }
  void progress(const ConvertProgress& p) override {
    print_event({{"event", "progress"},
                 {"done_bytes", p.done_bytes},
                 {"total_bytes", p.total_bytes},
                 {"done_files", p.done_files},
                 {"total_files", p.total_files},
                 {"bytes_per_second", known(p.bytes_per_second, p.bytes_per_second > 0)},
                 {"seconds_left", known(p.seconds_left, p.seconds_left >= 0)}});
  }
  void file(const std::string& path) override { print_event({{"event", "file"}, {"path", path}}); }
  void note(const std::string& text) override { print_note_event(text); }
  void finished(const ConvertResult& r) override {
    print_event({{"event", "result"},
                 {"path", r.folder.string()},
                 {"files", r.files},
                 {"total_bytes", r.total_bytes},
                 {"written_bytes", r.written_bytes},
                 {"seconds", r.seconds}});
  }
  void failed(ErrorCode code, const std::string& message) override { print_error_event(code, message); }
};

}  // namespace

int run_convert(const Options& options) {
  const ConvertCommandOptions& o = options.convert;
  const StopSignals signals("stopping; finished files are kept");
  std::unique_ptr<ConvertDisplay> display;
  if (o.json)
    display = std::make_unique<JsonLines>();
  else
    display = std::make_unique<Text>(options);
  ConvertHooks hooks;
  hooks.on_plan = [&](const ConvertPlan& plan) { display->planned(plan); };
  hooks.on_progress = [&](const ConvertProgress& progress) { display->progress(progress); };
  hooks.on_file = [&](const std::string& path) { display->file(path); };
  hooks.on_note = [&](const std::string& text) { display->note(text); };
  hooks.cancel = signals.flag();
  return run_transfer(*display, signals, "the checkpoint", [&] {
    const ConvertResult result = o.verify ? verify_converted(o.convert.output, hooks) : convert(o.convert, hooks);
    display->finished(result);
    return result.folder;
  });
}

}  // namespace wan::app
