#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdlib>
#include <ctime>

#include "commands.h"
#include "prompts.h"
#include "reporter.h"
#include "signals.h"
#include "values.h"
#include "wan/group.h"

namespace wan::app {
namespace {

// Every video's request with its defaults filled in, so that a mistake in the last one is found before the first.
std::vector<Request> prepare_all(const Engine& engine, const GenerateOptions& options) {
  const std::string time = fmt::format("{:%Y%m%d_%H%M%S}", fmt::localtime(std::time(nullptr)));
  const bool many = options.prompts.size() > 1;
  std::vector<Request> requests;
  for (size_t i = 0; i < options.prompts.size(); ++i) {
    Request request = options.request;
    request.prompt = options.prompts[i];
    request.output = options.save_file;
    if (request.output.empty()) request.output = default_name(engine.prepare(request), engine.task(), time);
    if (many) request.output = numbered(request.output, i + 1);
    requests.push_back(engine.prepare(request));
  }
  return requests;
}

void print_path(const std::filesystem::path& path) {
  fmt::print(stdout, "{}\n", path.string());
  if (std::fflush(stdout) != 0)
    throw Error(ErrorCode::bad_file, fmt::format("[stdout] could not be written; the result is {}", path.string()));
}

// Of the first video: prompts do not change what one takes.
PlanOptions plan_of(const GenerateOptions& options) {
  PlanOptions plan;
  plan.engine = options.engine;
  plan.request = options.request;
  plan.request.prompt = options.prompts.front();
  return plan;
}

// What all ranks do; the first one alone reports and prints.
int generate_all(const GenerateOptions& options, Reporter& reporter, const StopSignals& signals, bool leads) {
  for (const std::string& note : options.notes) reporter.note(note);
  Engine engine = Engine::open(options.engine);
  const std::vector<Request> requests = prepare_all(engine, options);

  Hooks hooks;
  hooks.on_progress = [&](const Progress& p) { reporter.progress(p); };
  hooks.on_note = [&](const std::string& text) { reporter.note(text); };
  hooks.cancel = signals.flag();
  for (size_t i = 0; i < requests.size(); ++i) {
    if (*signals.flag()) throw Error(ErrorCode::cancelled, "[generate] stopped between two videos");
    reporter.started(requests[i], engine.task(), i + 1, requests.size());
    const Result result = engine.generate(requests[i], hooks);
    reporter.finished(result);
    if (leads) print_path(result.output);
  }
  return 0;
}

[[noreturn]] void end_at_once(const Error& error) {
  fmt::print(stderr, "wan: error: {}\n", printable(error.what()));
  std::_Exit(1);
}

// This process's place among the ranks that a launcher, or this program, has started.
Group join(const Options& options, const StopSignals& signals) {
  GroupOptions group;
  group.environment = options.environment.variables;
  group.world_size = options.generate.gpus;
  group.device = options.generate.engine.device;
  group.same = {{"program", std::string("wan ") + version()}};
  group.poll = [&signals] {
    if (*signals.flag()) throw Error(ErrorCode::cancelled, "[ranks] stopped while waiting for the other ranks");
  };
  group.on_unheeded = end_at_once;
  return join_group(group);
}

int generate_as_rank(Options options, Reporter& reporter, const StopSignals& signals) {
  const Group group = join(options, signals);
  GenerateOptions& generate = options.generate;
  if (group.rank() == 0 && !group.note().empty()) generate.notes.push_back(group.note());
  if (group.size() > 1 && group.rank() == 0)
    generate.notes.push_back(fmt::format("{} ranks, by {}", group.size(), group.source()));
  if (group.rank() > 0) generate.notes.clear();
  try {
    generate.engine.ranks = share_work(group, generate.sharing);
    return generate_all(generate, reporter, signals, group.rank() == 0);
  } catch (const Error& e) {
    group.fail(e);
    throw;
  }
}

}  // namespace

int run_generate(const Options& options) {
  if (options.generate.dry_run) return run_plan({plan_of(options.generate), options.generate.json});
  const StopSignals signals;
  Options own = options;
  if (rank_of(options.environment.variables) > 0) {  // it says nothing but its errors
    own.generate.quiet = true;
    own.generate.json = false;
  }
  const auto reporter = make_reporter(own);
  try {
    return generate_as_rank(own, *reporter, signals);
  } catch (const Error& e) {
    reporter->failed(e.code(), e.what());
    if (e.code() != ErrorCode::cancelled || signals.received() == 0) throw;
    fmt::print(stderr, "wan: stopped by signal {}: {}\n", signals.received(), printable(e.what()));
    return 128 + signals.received();
  }
}

}  // namespace wan::app
