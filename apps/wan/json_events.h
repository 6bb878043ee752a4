#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "wan/error.h"

/// Events as JSON lines on stdout, for programs that watch this one.
namespace wan::app {

using Json = nlohmann::ordered_json;

/// One line. Text that is not UTF-8 is shown with replacement characters.
void print_event(const Json& event);
/// {"event": "note", "text": ...} and {"event": "error", "code": ..., "message": ...}
void print_note_event(const std::string& text);
void print_error_event(ErrorCode code, const std::string& message);

/// The value, or null where it is not known.
inline Json known(double value, bool is_known) { return is_known ? Json(value) : Json(); }

}  // namespace wan::app
