#pragma once
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace wan::e2e {

/// How a program ended and what it wrote.
struct Outcome {
  int status = -1;  ///< exit status; 128 + signal if a signal ended it
  std::string out, err;

  std::string last_line() const;  ///< of stdout
  std::vector<std::string> lines() const;
};

struct Terminal {
  int columns = 80;
};

/// A program under test: stdout goes to a pipe, stderr to a pipe or to a terminal of its own.
class Process {
 public:
  using Environment = std::map<std::string, std::string>;  ///< set on top of a small fixed environment

  Process(const std::vector<std::string>& command, const Environment& environment = {},
          const Terminal* terminal = nullptr, const std::filesystem::path& folder = ".");
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// Reads until `text` has come on stderr (true) or the program ended or the time is over (false).
  bool wait_for_stderr(const std::string& text, std::chrono::milliseconds limit = std::chrono::seconds(10));
  void signal(int number) const;
  pid_t id() const noexcept { return child_; }
  /// Reads everything and waits for the end; kills the program when the time is over.
  Outcome finish(std::chrono::milliseconds limit = std::chrono::seconds(120));

 private:
  bool pump(std::chrono::milliseconds limit);  // false when both streams have ended

  pid_t child_ = -1;
  int out_ = -1, err_ = -1;
  Outcome outcome_;
};

/// Starts, waits, returns.
Outcome run(const std::vector<std::string>& command, const Process::Environment& environment = {},
            const Terminal* terminal = nullptr, const std::filesystem::path& folder = ".");

/// A new folder that is removed with its contents.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  std::vector<std::string> names() const;  ///< of what is in it, sorted

 private:
  std::filesystem::path path_;
};

}  // namespace wan::e2e
