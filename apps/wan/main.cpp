#include <fmt/format.h>

#include <csignal>
#include <exception>
#include <new>

#include "commands.h"
#include "values.h"

namespace {

int report(const std::string& message, int status) {
  fmt::print(stderr, "wan: error: {}\n", wan::app::printable(message));
  return status;
}

int run(int argc, char** argv) {
  using namespace wan::app;
  try {
    const Options options = parse_options(argc, argv);
    return options.command == Command::generate ? run_generate(options) : run_show(options);
  } catch (const TextRequested& request) {
    fmt::print(stdout, "{}", request.text);
    return std::fflush(stdout) == 0 ? 0 : 1;
  } catch (const UsageError& e) {
    return report(fmt::format("{}\nSee 'wan --help' and 'wan generate --help'.", e.what()), 2);
  } catch (const wan::Error& e) {
    return report(e.what(), exit_status(e.code()));
  } catch (const std::bad_alloc&) {
    return report("[memory] the host has no memory left; expected more, or a smaller size or frame count", 1);
  } catch (const std::exception& e) {
    return report(fmt::format("[internal] {}; please report this", e.what()), 1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away or a file size limit must not end hours of work; the write then fails and is reported.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  return run(argc, argv);
}
