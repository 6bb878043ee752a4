#pragma once
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "signals.h"
#include "wan/error.h"

namespace wan::app {

/// Runs work that brings about a folder, prints the folder's path, and gives the exit status. `work` shows its result
/// on `display` and returns the folder; `what` names it in an error: "the model". What fails is shown and thrown on,
/// unless a signal asked for the end.
template <class Display, class Work>
int run_transfer(Display& display, const StopSignals& signals, const char* what, const Work& work) {
  try {
    const std::filesystem::path folder = work();
    fmt::print(stdout, "{}\n", folder.string());
    if (std::fflush(stdout) != 0)
      throw Error(ErrorCode::bad_file,
                  fmt::format("[stdout] could not be written; {} is in {}", what, folder.string()));
    return 0;
  } catch (const Error& e) {
    display.failed(e.code(), e.what());
    if (e.code() != ErrorCode::cancelled || signals.received() == 0) throw;
    fmt::print(stderr, "wan: stopped by signal {}; the same command goes on\n", signals.received());
    return 128 + signals.received();
  }
}

}  // namespace wan::app
