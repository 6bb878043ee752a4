#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <new>

#include "commands.h"
#include "supervise.h"
#include "values.h"
#include "wan/group.h"

namespace {

int report(const std::string& message, int status) {
  fmt::print(stderr, "wan: error: {}\n", wan::app::printable(message));
  return status;
}

// OpenMP's threads wait by spinning unless told otherwise before the program starts, and then starve each other
// wherever the CPUs are shared: beside one other busy program a clip took 65 s instead of 4.
void wait_without_spinning(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error && setenv("OMP_WAIT_POLICY", "passive", 0) == 0)
    execv(self.c_str(), argv);  // goes on as it is if this fails
}

bool starts_ranks(const wan::app::Options& options) {
  return options.generate.gpus.value_or(1) > 1 && !options.generate.dry_run &&
         !wan::is_one_of_several(options.environment.variables);
}

int run(int argc, char** argv) {
  using namespace wan::app;
  try {
    const Options options = parse_options(argc, argv);
    switch (options.command) {
      case Command::generate:
        return starts_ranks(options) ? supervise(argv, *options.generate.gpus) : run_generate(options);
      case Command::show: return run_show(options);
      case Command::bench: return run_bench_command(options);
      case Command::plan: return run_plan(options.plan);
      case Command::download: return run_download(options);
      case Command::convert: return run_convert(options);
      case Command::doctor: return run_doctor(options.doctor);
    }
    return 1;
  } catch (const TextRequested& request) {
    fmt::print(stdout, "{}", request.text);
    return std::fflush(stdout) == 0 ? 0 : 1;
  } catch (const UsageError& e) {
    return report(fmt::format("{}\nSee 'wan --help' and 'wan COMMAND --help'.", e.what()), 2);
  } catch (const wan::Error& e) {
    return report(e.what(), exit_status(e.code()));
  } catch (const std::bad_alloc&) {
    return report("[memory] the host has no memory left; expected more, or a smaller size or frame count", 1);
  } catch (const std::exception& e) {
    return report(fmt::format("[internal] {}; please report this", e.what()), 1);
  }
}

// A standard stream that came closed must not become the number of the next file that is opened: what is printed would
// go there. It stays one that cannot be used.
void hold_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(fd, F_GETFD) < 0) (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace

int main(int argc, char** argv) {
  hold_standard_streams();
  wait_without_spinning(argv);
  // A reader that goes away or a file size limit must not end hours of work; the write then fails and is reported.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  return run(argc, argv);
}
