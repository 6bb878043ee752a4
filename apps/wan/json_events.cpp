#include "json_events.h"

#include <fmt/format.h>

#include <cstdio>

#include "wan/wan.h"

namespace wan::app {

void print_event(const Json& event) {
  fmt::print(stdout, "{}\n", event.dump(-1, ' ', false, Json::error_handler_t::replace));
  std::fflush(stdout);
}

void print_note_event(const std::string& text) { print_event({{"event", "note"}, {"text", text}}); }

void print_error_event(ErrorCode code, const std::string& message) {
  print_event({{"event", "error"}, {"code", to_string(code)}, {"message", message}});
}

}  // namespace wan::app
