#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "commands.h"
#include "values.h"

namespace wan::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr double giga = 1e9;

double rate(int64_t bytes, double seconds) { return static_cast<double>(bytes) / giga / seconds; }

double start_up(const LoadReport& r) {
  return r.open_device_seconds + r.open_checkpoint_seconds + r.open_tokenizer_seconds;
}

Json to_json(const LoadReport& r) {
  const auto copy = [&](double value) { return r.copy_seconds ? Json(value) : Json(); };
  return {{"version", version()},
          {"task", to_string(r.task)},
          {"checkpoint", r.checkpoint},
          {"device", r.device},
          {"dtype", to_string(r.precision)},
          {"threads", r.threads},
          {"runs", r.runs},
          {"transformers", r.transformers},
          {"file_bytes", r.file_bytes},
          {"device_bytes", r.device_bytes},
          {"load_seconds", r.load_seconds},
          {"first_load_seconds", r.first_load_seconds},
          {"load_gb_per_second", rate(r.file_bytes, r.load_seconds)},
          {"read_seconds", r.read_seconds},
          {"first_read_seconds", r.first_read_seconds},
          {"read_gb_per_second", rate(r.file_bytes, r.read_seconds)},
          {"copy_seconds", copy(r.copy_seconds.value_or(0))},
          {"copy_gb_per_second", copy(rate(r.device_bytes, r.copy_seconds.value_or(1)))},
          {"ratio_to_slower", r.ratio()},
          {"start_up_seconds", start_up(r)},
          {"open_device_seconds", r.open_device_seconds},
          {"open_checkpoint_seconds", r.open_checkpoint_seconds},
          {"open_tokenizer_seconds", r.open_tokenizer_seconds}};
}

void print_row(const char* name, int64_t bytes, double seconds) {
  fmt::print("{:<36} {:>10.4g} {:>10.3g} {:>10.4g}\n", name, static_cast<double>(bytes) / giga, seconds,
             rate(bytes, seconds));
}

void print_table(const LoadReport& r) {
  fmt::print("{}: {}, {} transformer{}, {}, {} threads; {}; median of {} runs after the first\n\n",
             printable(r.checkpoint), to_string(r.task), r.transformers, r.transformers == 1 ? "" : "s",
             to_string(r.precision), r.threads, printable(r.device), r.runs);
  fmt::print("{:<36} {:>10} {:>10} {:>10}\n", "", "GB", "seconds", "GB/s");
  print_row("load: files to device", r.file_bytes, r.load_seconds);
  print_row("  the first time", r.file_bytes, r.first_load_seconds);
  print_row("plain read, page cache warm", r.file_bytes, r.read_seconds);
  print_row("  the first time", r.file_bytes, r.first_read_seconds);
  if (r.copy_seconds) print_row("copy from pinned memory to device", r.device_bytes, *r.copy_seconds);
  fmt::print("load over the slower of read{}: {:.2f}\n", r.copy_seconds ? " and copy" : "", r.ratio());
  if (r.device_bytes == 0) fmt::print("The files are used in place: nothing was read.\n");
  fmt::print("\nstart-up: {:.3f} s (device {:.3f}, checkpoint {:.3f}, tokenizer {:.3f})\n", start_up(r),
             r.open_device_seconds, r.open_checkpoint_seconds, r.open_tokenizer_seconds);
}

}  // namespace

void bench_load(const BenchOptions& options, bool json) {
  const LoadReport report = run_load_bench(options);
  if (json)
    fmt::print("{}\n", to_json(report).dump(2, ' ', false, Json::error_handler_t::replace));
  else
    print_table(report);
}

}  // namespace wan::app
