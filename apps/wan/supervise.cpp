#include "supervise.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "values.h"
#include "wan/error.h"

namespace wan::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds grace{20};  // longer than ranks need to notice that another one has ended
constexpr size_t kept_bytes = 16 << 10;    // of what a rank says last

struct Rank {
  pid_t process = -1;  // -1: it has ended
  int errors = -1;     // what it writes to stderr; not of rank 0
  std::string said;
  int status = 0;
};

[[noreturn]] void failed(const char* what) {
  throw Error(ErrorCode::unsupported, fmt::format("[ranks] {} failed: {}; expected room for more processes, see ulimit",
                                                  what, std::strerror(errno)));
}

std::string random_name() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) failed("getrandom");
  std::string out;
  for (const unsigned char b : bytes) out += fmt::format("{:02x}", b);
  return out;
}

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCHLD}) sigaddset(&set, s);
  return set;
}

bool is_ours(std::string_view variable) {
  return std::ranges::any_of(
      std::array{"WAN_RANK=", "WAN_WORLD_SIZE=", "WAN_LOCAL_RANK=", "WAN_LOCAL_SIZE=", "WAN_JOB="},
      [&](const char* name) { return variable.starts_with(name); });
}

int status_of(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

class Supervisor {
 public:
  explicit Supervisor(int ranks) : ranks_(static_cast<size_t>(ranks)) {
    const sigset_t set = watched_signals();
    sigprocmask(SIG_BLOCK, &set, &mask_before_);
    signals_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals_ < 0) failed("signalfd");
  }
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor() {
    kill_all(SIGKILL);
    for (Rank& r : ranks_) {
      if (r.process > 0) waitpid(r.process, nullptr, 0);
      if (r.errors >= 0) close(r.errors);
    }
    if (signals_ >= 0) close(signals_);
    sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
  }

  void start(char** argv) {
    std::array<char, 4096> program{};
    if (readlink("/proc/self/exe", program.data(), program.size() - 1) < 0) failed("reading /proc/self/exe");
    const std::string job = random_name();
    for (size_t r = 0; r < ranks_.size(); ++r) start_one(program.data(), argv, r, job);
  }

  int wait() {
    while (std::ranges::any_of(ranks_, [](const Rank& r) { return r.process > 0 || r.errors >= 0; })) {
      std::vector<pollfd> fds = {{signals_, POLLIN, 0}};
      for (const Rank& r : ranks_)
        if (r.errors >= 0) fds.push_back({r.errors, POLLIN, 0});
      poll(fds.data(), fds.size(), 500);
      read_signals();
      reap();
      for (Rank& r : ranks_)
        if (r.errors >= 0) read_errors(r);
      if (ending_ && !killed_ && Clock::now() > deadline_) {
        name_cause();
        killed_ = true;
        kill_all(SIGKILL);
      }
    }
    name_cause();
    return report();
  }

 private:
  void start_one(const char* program, char** argv, size_t r, const std::string& job) {
    std::vector<std::string> variables;
    for (char** v = environ; *v != nullptr; ++v)
      if (!is_ours(*v)) variables.emplace_back(*v);
    for (const auto& [name, value] :
         {std::pair{"RANK", r}, {"WORLD_SIZE", ranks_.size()}, {"LOCAL_RANK", r}, {"LOCAL_SIZE", ranks_.size()}})
      variables.push_back(fmt::format("WAN_{}={}", name, value));
    variables.push_back("WAN_JOB=" + job);
    std::vector<char*> environment;
    for (std::string& v : variables) environment.push_back(v.data());
    environment.push_back(nullptr);

    std::array<int, 2> ends{-1, -1};
    if (r > 0 && pipe2(ends.data(), O_CLOEXEC) != 0) failed("pipe2");
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0) {
      // In a group of its own: a terminal's Ctrl-C comes from the supervisor alone, once. It may write there all the
      // same.
      setpgid(0, 0);
      std::signal(SIGTTOU, SIG_IGN);
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      if (r > 0) {
        dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDIN_FILENO);
        dup2(STDIN_FILENO, STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
      }
      sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
      execve(program, argv, environment.data());
      _exit(127);
    }
    const int error = errno;
    if (ends[1] >= 0) close(ends[1]);
    ranks_[r].process = child;
    ranks_[r].errors = ends[0];
    if (ends[0] >= 0) fcntl(ends[0], F_SETFL, O_NONBLOCK);
    errno = error;
    if (child < 0) failed("fork");
  }

  void kill_all(int signal) noexcept {
    for (const Rank& r : ranks_)
      if (r.process > 0) kill(r.process, signal);
  }

  void read_signals() {
    signalfd_siginfo info{};
    while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      const auto signal = static_cast<int>(info.ssi_signo);
      if (signal == SIGCHLD) continue;
      if (signal == SIGTSTP) {  // Ctrl-Z; goes on after the second line when it is continued
        kill_all(SIGSTOP);
        kill(getpid(), SIGSTOP);
        kill_all(SIGCONT);
        continue;
      }
      stopped_ = true;
      kill_all(signal);
    }
  }

  void reap() {
    for (size_t r = 0; r < ranks_.size(); ++r) {
      Rank& rank = ranks_[r];
      if (rank.process <= 0 || waitpid(rank.process, &rank.status, WNOHANG) != rank.process) continue;
      rank.process = -1;
      if (status_of(rank.status) != 0 && first_failed_ < 0) first_failed_ = static_cast<int>(r);
      if (!ending_ && (r == 0 || first_failed_ >= 0)) {
        ending_ = true;
        deadline_ = Clock::now() + grace;
      }
    }
  }

  void read_errors(Rank& r) {
    std::array<char, 4096> buffer{};
    for (;;) {
      const ssize_t n = read(r.errors, buffer.data(), buffer.size());
      if (n > 0) {
        r.said.append(buffer.data(), static_cast<size_t>(n));
        if (r.said.size() > kept_bytes) r.said.erase(0, r.said.size() - kept_bytes);
        continue;
      }
      // What a rank has started may keep the pipe open; nothing of interest comes after its own end.
      if (n == 0 || (errno != EINTR && errno != EAGAIN) || r.process < 0) {
        close(r.errors);
        r.errors = -1;
      }
      return;
    }
  }

  // A rank that was killed ends after others that have noticed it, if it has much memory to give back.
  void name_cause() {
    if (killed_) return;
    for (size_t r = 0; r < ranks_.size(); ++r)
      if (ranks_[r].process < 0 && WIFSIGNALED(ranks_[r].status)) first_failed_ = static_cast<int>(r);
  }

  int report() const {
    if (first_failed_ < 0) return 0;
    const Rank& r = ranks_[static_cast<size_t>(first_failed_)];
    if (!stopped_) {
      // Rank 0 writes for itself, and every rank says the same sentence.
      const bool told = WIFEXITED(ranks_[0].status) && WEXITSTATUS(ranks_[0].status) != 0;
      std::string_view said = told ? std::string_view() : std::string_view(r.said);
      while (!said.empty()) {
        const size_t end = std::min(said.find('\n'), said.size());
        fmt::print(stderr, "[rank {}] {}\n", first_failed_, printable(std::string(said.substr(0, end))));
        said.remove_prefix(std::min(end + 1, said.size()));
      }
      if (WIFSIGNALED(r.status))
        fmt::print(stderr, "wan: error: [ranks] rank {} was ended by signal {} ({})\n", first_failed_,
                   WTERMSIG(r.status), strsignal(WTERMSIG(r.status)));
    }
    return status_of(r.status);
  }

  std::vector<Rank> ranks_;
  int signals_ = -1;
  sigset_t mask_before_{};
  int first_failed_ = -1;
  bool stopped_ = false;  // by a signal that was passed on
  bool ending_ = false;
  bool killed_ = false;  // by this process, after the deadline
  Clock::time_point deadline_;
};

}  // namespace

int supervise(char** argv, int ranks) {
  Supervisor supervisor(ranks);
  supervisor.start(argv);
  return supervisor.wait();
}

}  // namespace wan::app
