#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "values.h"

namespace wan::app {
namespace {

using Json = nlohmann::ordered_json;

/// Null where it is absent or no rate can be given.
Json number(const std::optional<double>& value) { return value && std::isfinite(*value) ? Json(*value) : Json(); }

std::optional<double> ratio(const std::optional<double>& part, double whole) {
  if (!part || whole <= 0) return std::nullopt;
  return *part / whole;
}

std::optional<double> rate(double tflop, double seconds) { return tflop > 0 ? ratio(tflop, seconds) : std::nullopt; }

Json to_json(const std::vector<BenchOps>& rows, const char* key) {
  Json json = Json::array();
  for (const BenchOps& r : rows)
    json.push_back({{key, r.name},
                    {"calls", r.calls},
                    {"seconds", r.seconds},
                    {"tflop", r.tflop},
                    {"tflop_per_second", number(rate(r.tflop, r.seconds))},
                    {"floor_seconds", number(r.floor_seconds)},
                    {"share_of_floor", number(ratio(r.floor_seconds, r.seconds))}});
  return json;
}

Json to_json(const BenchPart& p) {
  return {{"part", p.name},
          {"what", p.what},
          {"median_seconds", p.median_seconds},
          {"seconds", p.seconds},
          {"warm_up_seconds", p.warm_up_seconds},
          {"tflop", p.tflop},
          {"tflop_per_second", number(rate(p.tflop, p.median_seconds))},
          {"floor_seconds", number(p.floor_seconds)},
          {"share_of_floor", number(ratio(p.floor_seconds, p.median_seconds))},
          {"weight_bytes", p.weight_bytes},
          {"peak_bytes", p.peak_bytes},
          {"finite", p.finite},
          {"layers", p.layers},
          {"layers_run", p.layers_run},
          {"extrapolated", p.layers_run != p.layers},
          {"families", to_json(p.families, "family")},
          {"ops", to_json(p.ops, "op")}};
}

Json to_json(const BenchReport& r) {
  Json json = {{"version", version()},
               {"task", to_string(r.task)},
               {"dimensions", r.dimensions},
               {"size", fmt::format("{}*{}", r.width, r.height)},
               {"frames", r.frames},
               {"device", r.device},
               {"dtype", to_string(r.precision)},
               {"threads", r.threads},
               {"runs", r.runs},
               {"rates", r.rates.empty() ? Json() : Json(r.rates)},
               {"parts", Json::array()}};
  for (const BenchPart& p : r.parts) json["parts"].push_back(to_json(p));
  return json;
}

std::string shown(const std::optional<double>& value, double factor, const char* unit) {
  return value ? fmt::format("{:.1f}{}", *value * factor, unit) : "-";
}

void print_row(const std::string& name, double seconds, double tflop, const std::optional<double>& floor,
               const std::string& memory = "") {
  std::string row = fmt::format("{:<20} {:>10.4g} {:>10.4g} {:>10} {:>9}", name, seconds, tflop,
                                shown(rate(tflop, seconds), 1, ""), shown(ratio(floor, seconds), 100, " %"));
  if (!memory.empty()) row += fmt::format(" {:>10}", memory);
  fmt::print("{}\n", row);
}

void print_part(const BenchPart& p, bool ops) {
  const std::string extrapolated =
      p.layers_run == p.layers ? "" : fmt::format("; extrapolated from {} of {} layers", p.layers_run, p.layers);
  fmt::print("\n{}: {}{}\n", p.name, p.what, extrapolated);
  print_row("whole", p.median_seconds, p.tflop, p.floor_seconds,
            fmt::format("{:.2f} GB", static_cast<double>(p.peak_bytes) / 1e9));
  for (const BenchOps& f : p.families) print_row("  " + f.name, f.seconds, f.tflop, f.floor_seconds);
  if (ops)
    for (const BenchOps& o : p.ops) {
      fmt::print("    {:g} x {}\n", o.calls, o.name);
      print_row("", o.seconds, o.tflop, o.floor_seconds);
    }
  if (!p.finite) fmt::print("  its result has elements that are not finite\n");
}

void print_table(const BenchReport& r, bool ops) {
  fmt::print("{}, {}*{}, {} frames, {}, {} dimensions; {}", to_string(r.task), r.width, r.height, r.frames,
             to_string(r.precision), printable(r.dimensions), printable(r.device));
  if (r.device == "CPU") fmt::print(", {} threads", r.threads);
  fmt::print("; median of {} runs\n", r.runs);
  if (!r.rates.empty()) fmt::print("floor: {}\n", r.rates);
  fmt::print("\n{:<20} {:>10} {:>10} {:>10} {:>9} {:>10}\n", "part", "seconds", "TFLOP", "TFLOP/s", "of floor", "peak");
  for (const BenchPart& p : r.parts) print_part(p, ops);
  fmt::print("\nAll rows but the whole ones are from a run that waits after every op.\n");
}

}  // namespace

int run_bench_command(const Options& options) {
  BenchOptions bench = options.bench.bench;
  bench.on_note = [](const std::string& text) { fmt::print(stderr, "{}\n", printable(text)); };
  if (options.bench.load) {
    bench_load(bench, options.bench.json);
  } else {
    const BenchReport report = run_bench(bench);
    if (options.bench.json)
      fmt::print("{}\n", to_json(report).dump(2));
    else
      print_table(report, options.bench.ops);
  }
  if (std::fflush(stdout) != 0) throw Error(ErrorCode::bad_file, "[stdout] could not be written");
  return 0;
}

}  // namespace wan::app
