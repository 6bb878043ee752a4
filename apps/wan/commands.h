#pragma once
#include "options.h"

namespace wan::app {

/// Each prints its result on stdout and returns the exit status; throws wan::Error.
int run_generate(const Options& options);
int run_show(const Options& options);
int run_bench_command(const Options& options);
int run_plan(const PlanCommandOptions& options);
int run_download(const Options& options);
int run_convert(const Options& options);
/// 1 if something fails.
int run_doctor(const DoctorCommandOptions& options);
/// `wan bench --what load`; prints to stdout.
void bench_load(const BenchOptions& options, bool json);

/// The status for an error: 2 for what the caller asked wrongly, 1 for what failed.
int exit_status(ErrorCode code) noexcept;

}  // namespace wan::app
