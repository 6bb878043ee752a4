// A rank that only keeps company: joins a group, and calls collectives until its steps are done or the group ends.
// With --ranks it starts and supervises that many of itself instead.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <thread>

#include "comm/group.h"
#include "supervise.h"

namespace {

struct Options {
  int steps = 0;  // 0: for ever
  int ranks = 0;
  std::string model = "tiny", request = "one", device = "cpu";
  double silence = 20, join = 60, stall = 0;
  int fail_rank = -1, fail_step = 3;
  bool hang = false;
};

Options parse(int argc, char** argv) {
  Options o;
  CLI::App app;
  app.add_option("--steps", o.steps);
  app.add_option("--ranks", o.ranks);
  app.add_option("--model", o.model);
  app.add_option("--request", o.request);
  app.add_option("--device", o.device);
  app.add_option("--silence", o.silence);
  app.add_option("--stall", o.stall);
  app.add_option("--join", o.join);
  app.add_option("--fail_rank", o.fail_rank);
  app.add_option("--fail_step", o.fail_step);
  app.add_flag("--hang", o.hang);  // instead of failing
  app.parse(argc, argv);
  return o;
}

void work(const Options& o, const wan::Group& group) {
  wan::comm::Communicator& world = *group.impl().world;
  for (int step = 1; o.steps == 0 || step <= o.steps; ++step) {
    group.report(fmt::format("step {} of {}", step, o.steps));
    if (group.rank() == o.fail_rank && step == o.fail_step) {
      if (!o.hang) throw wan::Error(wan::ErrorCode::out_of_memory, "[test] no memory left");
      for (;;) pause();
    }
    std::vector<float> values(1000, static_cast<float>(group.rank()));
    world.all_reduce(values, wan::comm::Reduction::sum, nullptr);
    std::vector<std::byte> mine(4096, static_cast<std::byte>(group.rank())), all(mine.size() * size_t(world.size()));
    world.all_gather(mine, all, nullptr);
    if (values[7] != static_cast<float>(group.size() * (group.size() - 1)) / 2 ||
        all.back() != std::byte(group.size() - 1))
      throw wan::Error(wan::ErrorCode::comm, "[test] wrong numbers");
    group.tick();
    if (step == 3) fmt::print(stderr, "working\n");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

int run(const Options& o) {
  wan::GroupOptions options;
  for (char** v = environ; *v != nullptr; ++v) {
    const std::string_view text(*v);
    const size_t cut = text.find('=');
    if (cut != std::string_view::npos) options.environment.emplace(text.substr(0, cut), text.substr(cut + 1));
  }
  options.device = o.device;
  options.same = {{"program", "test"}, {"model", o.model}};
  options.join_seconds = o.join;
  options.silence_seconds = o.silence;
  options.stall_seconds = o.stall;
  options.on_unheeded = [](const wan::Error& error) {
    fmt::print(stderr, "unheeded: {}\n", error.what());
    _exit(3);
  };
  const wan::Group group = wan::join_group(options);
  try {
    group.agree({{"request", o.request}});
    work(o, group);
  } catch (const wan::Error& error) {
    group.fail(error);
    throw;
  }
  fmt::print("rank {} of {} by {}\n", group.rank(), group.size(), group.source());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options o = parse(argc, argv);
    if (o.ranks > 0 && getenv("WAN_RANK") == nullptr) return wan::app::supervise(argv, o.ranks);
    return run(o);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
