#include "options.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "parse.h"
#include "values.h"

namespace wan::app {
namespace {

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({change, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

// The flag that was meant, if one is close enough to name.
std::string nearest_flag(const CLI::App& command, const std::string& given) {
  std::string best;
  size_t distance = std::max<size_t>(2, given.size() / 4) + 1;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group().empty()) continue;
    for (const std::string& name : option->get_lnames())
      if (const size_t d = edit_distance(given, "--" + name); d < distance) {
        distance = d;
        best = "--" + name;
      }
  }
  return best;
}

[[noreturn]] void refuse_extras(const CLI::App& command, const std::vector<std::string>& extras) {
  const std::string flag = extras.front().substr(0, extras.front().find('='));
  const std::string near = nearest_flag(command, flag);
  if (!near.empty()) throw UsageError(fmt::format("unknown argument '{}'; did you mean {}?", extras.front(), near));
  throw UsageError(fmt::format("unknown argument '{}'", extras.front()));
}

}  // namespace

Options parse_options(int argc, const char* const* argv) {
  CLI::App app("wan generates video with the Wan2.2 models, without Python.", "wan");
  app.set_version_flag("--version", fmt::format("wan {}", version()), "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.require_subcommand(0, 1);
  app.footer("'wan COMMAND --help' describes a command and shows examples.");

  CLI::App& generate = *app.add_subcommand("generate", "Make a video from a prompt, or from a prompt and an image");
  CLI::App& show = *app.add_subcommand("show", "Print how a video was made, and the command that makes it again");
  CLI::App& bench = *app.add_subcommand("bench", "Time the models on this machine, with synthetic weights");
  CLI::App& plan = *app.add_subcommand("plan", "Say what a video would take: memory and time, here or elsewhere");
  CLI::App& download = *app.add_subcommand("download", "Fetch a model from the Hugging Face Hub or ModelScope");
  CLI::App& convert = *app.add_subcommand("convert", "Write a checkpoint in another layout or precision");
  CLI::App& doctor =
      *app.add_subcommand("doctor", "Look for what keeps this machine from running, or from running well");
  for (CLI::App* command : {&generate, &show, &bench, &plan, &download, &convert, &doctor}) command->allow_extras();
  Options options;
  options.environment = read_environment();
  const auto generate_options = add_generate_flags(generate, options.environment);
  const auto show_options = add_show_flags(show);
  const auto bench_options = add_bench_flags(bench, options.environment);
  const auto plan_options = add_plan_flags(plan, options.environment);
  const auto download_options = add_download_flags(download, options.environment);
  const auto convert_options = add_convert_flags(convert, options.environment);
  const auto doctor_options = add_doctor_flags(doctor, options.environment);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    throw TextRequested{app.help()};  // of the command that was given, if one was
  } catch (const CLI::CallForVersion& e) {
    throw TextRequested{std::string(e.what()) + "\n"};
  } catch (const CLI::ParseError& e) {
    throw UsageError(e.what());
  }

  if (generate.parsed()) {
    if (const auto extras = generate.remaining(); !extras.empty()) refuse_extras(generate, extras);
    options.command = Command::generate;
    options.generate = generate_options();
  } else if (show.parsed()) {
    if (const auto extras = show.remaining(); !extras.empty()) refuse_extras(show, extras);
    options.command = Command::show;
    options.show = show_options();
  } else if (bench.parsed()) {
    if (const auto extras = bench.remaining(); !extras.empty()) refuse_extras(bench, extras);
    options.command = Command::bench;
    options.bench = bench_options();
  } else if (plan.parsed()) {
    if (const auto extras = plan.remaining(); !extras.empty()) refuse_extras(plan, extras);
    options.command = Command::plan;
    options.plan = plan_options();
  } else if (download.parsed()) {
    if (const auto extras = download.remaining(); !extras.empty()) refuse_extras(download, extras);
    options.command = Command::download;
    options.download = download_options();
  } else if (convert.parsed()) {
    if (const auto extras = convert.remaining(); !extras.empty()) refuse_extras(convert, extras);
    options.command = Command::convert;
    options.convert = convert_options();
  } else if (doctor.parsed()) {
    if (const auto extras = doctor.remaining(); !extras.empty()) refuse_extras(doctor, extras);
    options.command = Command::doctor;
    options.doctor = doctor_options();
  } else {
    throw UsageError("no command given; expected generate, download, convert, plan, show or bench");
  }
  return options;
}

}  // namespace wan::app
