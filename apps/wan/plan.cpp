#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "commands.h"
#include "values.h"

namespace wan::app {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const PlanStrategy& s) {
  Json json = {{"name", s.name},
               {"available", s.available},
               {"fits", s.fits},
               {"note", s.note},
               {"gpus", s.gpus},
               {"resident_blocks", s.resident_blocks},
               {"blocks", s.blocks},
               {"gpu_peak_bytes", s.gpu_peak},
               {"gpu_minimum_bytes", s.gpu_minimum},
               {"host_peak_bytes", s.host_peak},
               {"step_seconds", s.step_seconds},
               {"total_seconds", s.total_seconds},
               {"stages", Json::array()}};
  for (const PlanStage& stage : s.stages)
    json["stages"].push_back({{"stage", to_string(stage.stage)},
                              {"gpu_bytes", stage.gpu_bytes},
                              {"host_bytes", stage.host_bytes},
                              {"seconds", stage.seconds}});
  return json;
}

Json to_json(const PlanReport& r) {
  Json json = {{"version", version()},
               {"task", to_string(r.task)},
               {"dimensions", r.dimensions},
               {"size", fmt::format("{}*{}", r.width, r.height)},
               {"frame_num", r.frames},
               {"sample_steps", r.steps},
               {"guided", r.guided},
               {"tokens", r.tokens},
               {"dtype", to_string(r.precision)},
               {"device", r.device},
               {"gpus", r.gpus},
               {"threads", r.threads},
               {"estimate", r.estimate},
               {"vram_bytes", r.vram},
               {"ram_bytes", r.ram},
               {"link", r.link},
               {"link_bytes_per_second", r.link_bytes_per_second},
               {"file_bytes", r.file_bytes},
               {"strategies", Json::array()},
               {"chosen", r.chosen},
               {"why", r.why},
               {"changes", Json::array()},
               {"notes", r.notes}};
  for (const PlanStrategy& s : r.strategies) json["strategies"].push_back(to_json(s));
  for (const PlanChange& c : r.changes)
    json["changes"].push_back({{"what", c.what},
                               {"flags", c.flags},
                               {"fits", c.fits},
                               {"peak_bytes", c.peak},
                               {"minimum_bytes", c.minimum},
                               {"step_seconds", c.step_seconds},
                               {"total_seconds", c.total_seconds}});
  return json;
}

std::string size_text(int64_t bytes) {
  if (bytes == 0) return "-";
  const auto b = static_cast<double>(bytes);
  return bytes < 100'000'000 ? fmt::format("{:.1f} MB", b / 1e6) : fmt::format("{:.1f} GB", b / 1e9);
}

std::string time_text(double seconds) {
  if (seconds == 0) return "-";
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1e3);
  if (seconds < 100) return fmt::format("{:.1f} s", seconds);
  return duration(seconds);
}

void print_head(const PlanReport& r) {
  fmt::print("{}, {}x{}, {} frames, {} steps {} guidance, {}; {} dimensions, {} tokens\n", to_string(r.task), r.width,
             r.height, r.frames, r.steps, r.guided ? "with" : "without", to_string(r.precision),
             printable(r.dimensions), r.tokens);
  if (r.gpus == 0) {
    fmt::print("on the CPU, {} threads, {} of memory; ", r.threads, size_text(r.ram));
  } else {
    fmt::print("on {} x {}, {} each, {} ({:.0f} GB/s to the host)", r.gpus, printable(r.device), size_text(r.vram),
               r.link, r.link_bytes_per_second / 1e9);
    fmt::print("{}; ", r.ram > 0 ? ", host " + size_text(r.ram) : std::string());
  }
  fmt::print("times are {}\n", r.estimate ? "estimates" : "from measurements on this GPU");
}

void print_strategy(const PlanReport& r, size_t i) {
  const PlanStrategy& s = r.strategies[i];
  const bool chosen = r.chosen == static_cast<int>(i);
  fmt::print("{} {:<41} {:>8} {:>8} {:>9} {:>8} {:>8}{}\n", chosen ? '>' : ' ', s.name, size_text(s.gpu_peak),
             size_text(s.gpu_minimum), size_text(s.host_peak), time_text(s.step_seconds), time_text(s.total_seconds),
             s.fits ? "" : "  no fit");
}

void print_strategies(const PlanReport& r) {
  fmt::print("\n  {:<41} {:>8} {:>8} {:>9} {:>8} {:>8}\n", "strategy", "GPU", "least", "host", "a step", "in all");
  for (size_t i = 0; i < r.strategies.size(); ++i)
    if (r.strategies[i].available) print_strategy(r, i);
  bool first = true;
  for (size_t i = 0; i < r.strategies.size(); ++i) {
    if (r.strategies[i].available) continue;
    if (first) fmt::print("  on all of them, with --gpus N (see wan generate); estimates, per GPU:\n");
    first = false;
    print_strategy(r, i);
  }
}

void print_chosen(const PlanReport& r) {
  if (r.chosen < 0) {
    fmt::print("\nRuns here: no. {}\n", r.why);
    return;
  }
  const PlanStrategy& s = r.strategies[static_cast<size_t>(r.chosen)];
  fmt::print("\nIt takes: {}:\n  {}\n\n  {:<12} {:>8} {:>9} {:>8}\n", s.name, r.why, "stage", "GPU", "host", "time");
  for (const PlanStage& stage : s.stages)
    fmt::print("  {:<12} {:>8} {:>9} {:>8}\n", to_string(stage.stage), size_text(stage.gpu_bytes),
               size_text(stage.host_bytes), time_text(stage.seconds));
}

void print_changes(const PlanReport& r) {
  if (r.changes.empty()) return;
  fmt::print("\n  {:<47} {:>8} {:>8} {:>8} {:>8}\n", "what would change it", "memory", "least", "a step", "in all");
  for (const PlanChange& c : r.changes)
    fmt::print("  {:<47} {:>8} {:>8} {:>8} {:>8}{}\n    {}\n", c.what, size_text(c.peak), size_text(c.minimum),
               time_text(c.step_seconds), time_text(c.total_seconds), c.fits ? "" : "  no fit", c.flags);
}

void print_tables(const PlanReport& r) {
  print_head(r);
  print_strategies(r);
  print_chosen(r);
  print_changes(r);
  fmt::print("\n");
  for (const std::string& note : r.notes) fmt::print("{}\n", printable(note));
}

}  // namespace

int run_plan(const PlanCommandOptions& options) {
  const PlanReport report = make_plan(options.plan);
  if (options.json)
    fmt::print("{}\n", to_json(report).dump(2, ' ', false, Json::error_handler_t::replace));
  else
    print_tables(report);
  if (std::fflush(stdout) != 0) throw Error(ErrorCode::bad_file, "[stdout] could not be written");
  return 0;
}

}  // namespace wan::app
