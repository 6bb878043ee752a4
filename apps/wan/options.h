#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "wan/bench.h"
#include "wan/convert.h"
#include "wan/doctor.h"
#include "wan/download.h"
#include "wan/plan.h"
#include "wan/wan.h"

namespace wan::app {

/// What the process finds around it; read once, here and nowhere else.
struct Environment {
  bool stderr_is_terminal = false;
  bool color = false;               ///< a terminal that is not "dumb", and NO_COLOR is unset or empty
  int columns = 80;                 ///< of the terminal when the program started
  std::filesystem::path hub_cache;  ///< HF_HUB_CACHE, or where it is by default
  std::string hub_endpoint;         ///< HF_ENDPOINT; empty: the library's default
  std::string modelscope_endpoint;  ///< from MODELSCOPE_DOMAIN; empty: the library's default
  std::string hub_token;            ///< HF_TOKEN, or the content of HF_TOKEN_PATH; empty: none
  bool hub_offline = false;         ///< HF_HUB_OFFLINE
  std::optional<int> hub_answer_timeout, hub_stall_timeout;  ///< seconds
  std::map<std::string, std::string> variables;              ///< all, for launchers tell a rank in many ways
};

enum class Command { generate, show, bench, plan, download, convert, doctor };

struct GenerateOptions {
  EngineOptions engine;
  Request request;                   ///< of every video, but for prompt and output
  std::vector<std::string> prompts;  ///< one per video, in order; at least one
  std::filesystem::path save_file;   ///< empty: a name is made from task, size, prompt and time
  bool json = false;                 ///< progress as JSON lines on stdout
  bool quiet = false;                ///< no progress at all
  bool dry_run = false;              ///< print the plan instead of generating
  std::optional<int> gpus;           ///< processes, each with a GPU; default: as a launcher started them, or one
  Sharing sharing;                   ///< among several
  std::vector<std::string> notes;    ///< what the command line asks for that has no effect here
};

struct ShowOptions {
  std::filesystem::path file;
  bool json = false;
};

struct BenchCommandOptions {
  BenchOptions bench;
  bool load = false;  ///< time loading a checkpoint instead
  bool ops = false;   ///< a row per op and size too
  bool json = false;
};

struct PlanCommandOptions {
  PlanOptions plan;
  bool json = false;
};

struct DownloadCommandOptions {
  DownloadOptions download;
  bool json = false;   ///< progress as JSON lines on stdout
  bool quiet = false;  ///< no progress at all
};

struct ConvertCommandOptions {
  ConvertOptions convert;
  bool verify = false;  ///< compare convert.output with what was recorded, and write nothing
  bool json = false;    ///< progress as JSON lines on stdout
  bool quiet = false;   ///< no progress at all
};

struct DoctorCommandOptions {
  DoctorOptions doctor;
  bool json = false;
};

/// Everything that the command line and the environment say.
struct Options {
  Environment environment;
  Command command = Command::generate;
  GenerateOptions generate;
  ShowOptions show;
  BenchCommandOptions bench;
  PlanCommandOptions plan;
  DownloadCommandOptions download;
  ConvertCommandOptions convert;
  DoctorCommandOptions doctor;
};

/// --help or --version was asked for: print the text on stdout and end with status 0.
struct TextRequested {
  std::string text;
};

/// Reads the environment and the command line. Throws UsageError (status 2), TextRequested (status 0), or
/// wan::Error where a name is not one that the library knows.
Options parse_options(int argc, const char* const* argv);

}  // namespace wan::app
