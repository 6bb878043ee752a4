#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reporter.h"

namespace wan::app {
namespace {

using json = nlohmann::ordered_json;

// {"event": "start" | "progress" | "note" | "result" | "error", ...}, a line each. Unknown numbers are null.
class JsonLines final : public Reporter {
 public:
  void started(const Request& r, Task task, size_t number, size_t count) override {
    json event = {{"event", "start"}, {"version", version()}, {"task", to_string(task)}, {"video", number},
                  {"videos", count},  {"prompt", r.prompt},   {"base_seed", r.seed}};
    if (r.width && r.height) event["width"] = *r.width, event["height"] = *r.height;
    if (r.frames) event["frame_num"] = *r.frames;
    if (r.steps) event["sample_steps"] = *r.steps;
    if (r.solver) event["sample_solver"] = to_string(*r.solver);
    print(event);
  }

  void progress(const Progress& p) override {
    json event = {{"event", "progress"},
                  {"stage", to_string(p.stage)},
                  {"done", p.done},
                  {"total", p.total},
                  {"elapsed", p.elapsed}};
    event["expert"] = p.expert.empty() ? json() : json(p.expert);
    event["seconds_per_unit"] = p.seconds_per_unit > 0 ? json(p.seconds_per_unit) : json();
    event["seconds_left"] = p.seconds_left >= 0 ? json(p.seconds_left) : json();
    print(event);
  }

  void note(const std::string& text) override { print({{"event", "note"}, {"text", text}}); }

  void finished(const Result& r) override {
    print({{"event", "result"},
           {"path", r.output.string()},
           {"base_seed", r.seed},
           {"width", r.width},
           {"height", r.height},
           {"frames", r.frames},
           {"fps", r.fps},
           {"seconds", r.seconds}});
  }

  void failed(ErrorCode code, const std::string& message) override {
    print({{"event", "error"}, {"code", to_string(code)}, {"message", message}});
  }

 private:
  static void print(const json& event) {
    fmt::print(stdout, "{}\n", event.dump(-1, ' ', false, json::error_handler_t::replace));
    std::fflush(stdout);
  }
};

}  // namespace

std::unique_ptr<Reporter> make_json_lines() { return std::make_unique<JsonLines>(); }

}  // namespace wan::app
