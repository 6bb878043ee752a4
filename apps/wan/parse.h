#pragma once
#include <CLI/CLI.hpp>
#include <functional>

#include "options.h"

// The parts of parse_options: each adds its flags to a CLI11 command and returns what turns them into values once the
// command line has been read. The environment must outlive that.
namespace wan::app {

Environment read_environment();
std::function<GenerateOptions()> add_generate_flags(CLI::App& command, const Environment& environment);
std::function<ShowOptions()> add_show_flags(CLI::App& command);
std::function<BenchCommandOptions()> add_bench_flags(CLI::App& command, const Environment& environment);
std::function<DownloadCommandOptions()> add_download_flags(CLI::App& command, const Environment& environment);
std::function<ConvertCommandOptions()> add_convert_flags(CLI::App& command, const Environment& environment);
std::function<DoctorCommandOptions()> add_doctor_flags(CLI::App& command, const Environment& environment);
std::function<PlanCommandOptions()> add_plan_flags(CLI::App& command, const Environment& environment);

}  // namespace wan::app
