#include "json_events.h"
#include "reporter.h"

namespace wan::app {
namespace {

// {"event": "start" | "progress" | "note" | "result" | "error", ...}, a line each. Unknown numbers are null.
class JsonLines final : public Reporter {
 public:
  void started(const Request& r, Task task, size_t number, size_t count) override {
    Json event = {{"event", "start"}, {"version", version()}, {"task", to_string(task)}, {"video", number},
                  {"videos", count},  {"prompt", r.prompt},   {"base_seed", r.seed}};
    if (r.width && r.height) event["width"] = *r.width, event["height"] = *r.height;
    if (r.frames) event["frame_num"] = *r.frames;
    if (r.steps) event["sample_steps"] = *r.steps;
    if (r.solver) event["sample_solver"] = to_string(*r.solver);
    print_event(event);
  }

  void progress(const Progress& p) override {
    Json event = {{"event", "progress"},
                  {"stage", to_string(p.stage)},
                  {"done", p.done},
                  {"total", p.total},
                  {"elapsed", p.elapsed}};
    event["expert"] = p.expert.empty() ? Json() : Json(p.expert);
    event["seconds_per_unit"] = known(p.seconds_per_unit, p.seconds_per_unit > 0);
    event["seconds_left"] = known(p.seconds_left, p.seconds_left >= 0);
    print_event(event);
  }

  void note(const std::string& text) override { print_note_event(text); }

  void finished(const Result& r) override {
    print_event({{"event", "result"},
                 {"path", r.output.string()},
                 {"base_seed", r.seed},
                 {"width", r.width},
                 {"height", r.height},
                 {"frames", r.frames},
                 {"fps", r.fps},
                 {"seconds", r.seconds}});
  }

  void failed(ErrorCode code, const std::string& message) override { print_error_event(code, message); }
};

}  // namespace

std::unique_ptr<Reporter> make_json_lines() { return std::make_unique<JsonLines>(); }

}  // namespace wan::app
