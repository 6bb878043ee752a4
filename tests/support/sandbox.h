#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <stdexcept>
#include <string>

#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <vector>
#endif

namespace wan::test {

/// How a child process ended that ran an action.
struct Ending {
  int signal = 0;     ///< that killed it, 0 if none; SIGSYS: it tried to start a process or a program
  int status = -1;    ///< 0: the action returned; 1: it threw
  std::string error;  ///< what it threw
  bool guarded = false;
};

#ifdef __linux__
/// From here on the kernel kills this process when it starts a process, a thread or a program.
inline bool forbid_starting() {
  std::vector<sock_filter> program = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const unsigned call : {
#ifdef SYS_fork
           SYS_fork, SYS_vfork,
#endif
           SYS_clone, SYS_clone3, SYS_execve, SYS_execveat}) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}
#else
inline bool forbid_starting() { return false; }
#endif

/// Runs `action` in a child process that may start nothing (`guarded` says whether the kernel sees to that).
template <class Action>
Ending run_alone(Action&& action) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said(1, forbid_starting() ? 'g' : '-');
    int status = 0;
    try {
      action();
    } catch (const std::exception& error) {
      said += error.what();
      status = 1;
    }
    [[maybe_unused]] const auto n = ::write(ends[1], said.data(), said.size());
    ::_exit(status);
  }
  ::close(ends[1]);
  Ending ending;
  char buffer[4096];
  for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    ending.error.append(buffer, static_cast<size_t>(n));
  ::close(ends[0]);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) throw std::runtime_error("no child process");
  if (WIFSIGNALED(status)) ending.signal = WTERMSIG(status);
  if (WIFEXITED(status)) ending.status = WEXITSTATUS(status);
  ending.guarded = ending.signal == SIGSYS || ending.error.starts_with('g');
  if (!ending.error.empty()) ending.error.erase(0, 1);
  return ending;
}

}  // namespace wan::test
