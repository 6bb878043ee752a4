#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

namespace wan::e2e {
namespace {

using Clock = std::chrono::steady_clock;

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  return ends;
}

// Appends what is there; closes and forgets the descriptor at its end.
void drain(int& descriptor, std::string& text) {
  std::array<char, 4096> buffer{};
  const ssize_t n = read(descriptor, buffer.data(), buffer.size());
  if (n > 0) {
    text.append(buffer.data(), static_cast<size_t>(n));
  } else if (n == 0 || errno != EINTR) {  // a terminal whose other end is closed gives EIO
    close(descriptor);
    descriptor = -1;
  }
}

}  // namespace

std::vector<std::string> Outcome::lines() const {
  std::vector<std::string> all;
  std::istringstream in(out);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

std::string Outcome::last_line() const { return lines().empty() ? "" : lines().back(); }

Process::Process(const std::vector<std::string>& command, const Environment& environment, const Terminal* terminal,
                 const std::filesystem::path& folder) {
  const auto out = make_pipe();
  auto err = std::array<int, 2>{-1, -1};
  if (terminal != nullptr) {
    winsize size{};
    size.ws_col = static_cast<unsigned short>(terminal->columns);
    size.ws_row = 25;
    if (openpty(&err[0], &err[1], nullptr, nullptr, &size) != 0) throw std::runtime_error("openpty");
    for (const int end : err) fcntl(end, F_SETFD, FD_CLOEXEC);
  } else {
    err = make_pipe();
  }
  Environment all = {
      {"PATH", "/usr/bin:/bin"}, {"TERM", "xterm"}, {"LC_ALL", "C.UTF-8"}, {"OMP_WAIT_POLICY", "PASSIVE"}};
  for (const auto& [name, value] : environment) all[name] = value;
  std::vector<std::string> variables;
  for (const auto& [name, value] : all) variables.push_back(name + "=" + value);
  std::vector<char*> argv, envp;
  for (const std::string& a : command) argv.push_back(const_cast<char*>(a.c_str()));
  for (const std::string& v : variables) envp.push_back(const_cast<char*>(v.c_str()));
  argv.push_back(nullptr);
  envp.push_back(nullptr);

  child_ = fork();
  if (child_ < 0) throw std::runtime_error("fork");
  if (child_ == 0) {
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    if (chdir(folder.c_str()) == 0) execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(out[1]);
  close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

Process::~Process() {
  for (const int descriptor : {out_, err_})
    if (descriptor >= 0) close(descriptor);
  if (child_ > 0) {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
}

bool Process::pump(std::chrono::milliseconds limit) {
  std::array<pollfd, 2> streams = {pollfd{out_, POLLIN, 0}, pollfd{err_, POLLIN, 0}};
  poll(streams.data(), streams.size(), static_cast<int>(limit.count()));
  if (out_ >= 0 && streams[0].revents != 0) drain(out_, outcome_.out);
  if (err_ >= 0 && streams[1].revents != 0) drain(err_, outcome_.err);
  return out_ >= 0 || err_ >= 0;
}

bool Process::wait_for_stderr(const std::string& text, std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (outcome_.err.find(text) == std::string::npos)
    if (Clock::now() > end || !pump(std::chrono::milliseconds(20))) return false;
  return true;
}

void Process::signal(int number) const { kill(child_, number); }

Outcome Process::finish(std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (Clock::now() < end && pump(std::chrono::milliseconds(50))) {
  }
  if (out_ >= 0 || err_ >= 0) kill(child_, SIGKILL);
  int status = 0;
  waitpid(child_, &status, 0);
  child_ = -1;
  outcome_.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome_;
}

Outcome run(const std::vector<std::string>& command, const Process::Environment& environment, const Terminal* terminal,
            const std::filesystem::path& folder) {
  return Process(command, environment, terminal, folder).finish();
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "wan-e2e-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<std::string> TemporaryFolder::names() const {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) all.push_back(entry.path().filename().string());
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace wan::e2e
