#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "parse.h"

namespace wan::app {

Environment read_environment() {
  const auto text = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  Environment e;
  e.stderr_is_terminal = isatty(STDERR_FILENO) == 1 && text("TERM") != "dumb";
  e.color = e.stderr_is_terminal && text("NO_COLOR").empty();
  winsize size{};
  if (e.stderr_is_terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) e.columns = size.ws_col;
  return e;
}

}  // namespace wan::app
