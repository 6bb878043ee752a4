#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "values.h"

namespace wan::app {
namespace {

using Json = nlohmann::ordered_json;

void print_json(const std::vector<Finding>& findings) {
  Json all = Json::array();
  for (const Finding& f : findings)
    all.push_back({{"subject", f.subject},
                   {"health", to_string(f.health)},
                   {"found", f.found},
                   {"needed", f.needed},
                   {"mend", f.mend}});
  fmt::print("{}\n", all.dump(2, ' ', false, Json::error_handler_t::replace));
}

void print_table(const std::vector<Finding>& findings) {
  size_t width = 0;
  for (const Finding& f : findings) width = std::max(width, f.subject.size());
  for (const Finding& f : findings) {
    fmt::print("{:<8} {:<{}}  {}\n", to_string(f.health), f.subject, width, printable(f.found));
    const std::string indent(11 + width, ' ');
    if (!f.needed.empty()) fmt::print("{}needed: {}\n", indent, printable(f.needed));
    if (!f.mend.empty()) fmt::print("{}mend:   {}\n", indent, printable(f.mend));
  }
}

}  // namespace

int run_doctor(const DoctorCommandOptions& options) {
  const std::vector<Finding> findings = examine(options.doctor);
  if (options.json)
    print_json(findings);
  else
    print_table(findings);
  if (std::fflush(stdout) != 0) throw Error(ErrorCode::bad_file, "[stdout] could not be written");
  const bool fails = std::ranges::any_of(findings, [](const Finding& f) { return f.health == Health::failure; });
  return fails ? 1 : 0;
}

}  // namespace wan::app
