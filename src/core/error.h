#pragma once
#include <fmt/format.h>

#include <utility>

#include "wan/error.h"

namespace wan {

/// Throws Error{code} with a formatted message: [where] what came, what was expected, what to do.
template <class... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

/// For what users and files give us; use assert() for our own invariants.
template <class... Args>
void require(bool ok, ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) fail(code, format, std::forward<Args>(args)...);
}

}  // namespace wan
