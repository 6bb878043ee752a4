// Jobs of several processes: rank_program.cpp under our own variables, torchrun's, real mpirun, and its supervisor.
#include <gmock/gmock.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "process.h"

namespace wan::e2e {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

using Command = std::vector<std::string>;
const std::string program = WAN_RANK_PROGRAM;

Command command(const Command& arguments) {
  Command all = {program};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

Process::Environment own_variables(int rank, int size, const std::string& job) {
  return {{"WAN_RANK", std::to_string(rank)}, {"WAN_WORLD_SIZE", std::to_string(size)}, {"WAN_JOB", job}};
}

Process::Environment torchrun_variables(int rank, int size, int port) {
  return {{"RANK", std::to_string(rank)},       {"WORLD_SIZE", std::to_string(size)},
          {"LOCAL_RANK", std::to_string(rank)}, {"LOCAL_WORLD_SIZE", std::to_string(size)},
          {"MASTER_ADDR", "127.0.0.1"},         {"MASTER_PORT", std::to_string(port)}};
}

std::string new_job() {
  static int count = 0;
  return "e2e " + std::to_string(getpid()) + " " + std::to_string(count++);
}

/// Ports below the system's own range, apart for tests that run side by side.
int new_port() {
  static int count = 0;
  return 10000 + (getpid() % 2000) * 8 + count++ % 8;
}

bool can(const std::string& shell_command) { return run({"/bin/sh", "-c", shell_command}).status == 0; }

TEST(Ranks, TorchrunsVariables) {
  const int port = new_port();
  std::vector<std::unique_ptr<Process>> ranks;
  for (int r = 0; r < 3; ++r)
    ranks.push_back(std::make_unique<Process>(command({"--steps", "20"}), torchrun_variables(r, 3, port)));
  for (int r = 0; r < 3; ++r) {
    const Outcome end = ranks[static_cast<size_t>(r)]->finish();
    EXPECT_EQ(end.status, 0) << end.err;
    EXPECT_THAT(end.out, HasSubstr("rank " + std::to_string(r) + " of 3 by torchrun"));
  }
}

TEST(Ranks, AWorldSizeAloneDoesNotWait) {
  const Outcome end = run(command({"--steps", "5"}), {{"WORLD_SIZE", "8"}, {"MASTER_ADDR", "10.255.255.1"}});
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("rank 0 of 1"));
}

TEST(Ranks, ContradictionsAreRefused) {
  const Outcome end = run(command({}), {{"RANK", "0"},
                                        {"WORLD_SIZE", "1"},
                                        {"OMPI_COMM_WORLD_RANK", "1"},
                                        {"OMPI_COMM_WORLD_SIZE", "2"},
                                        {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                        {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  EXPECT_EQ(end.status, 1);
  EXPECT_THAT(end.err, AllOf(HasSubstr("WORLD_SIZE=1"), HasSubstr("OMPI_COMM_WORLD_SIZE=2"), HasSubstr("contradict")));
}

void expect_refused(const Command& arguments_of_one, const std::string& sentence) {
  const std::string job = new_job();
  std::vector<std::unique_ptr<Process>> ranks;
  for (int r = 0; r < 3; ++r)
    ranks.push_back(
        std::make_unique<Process>(command(r == 2 ? arguments_of_one : Command{}), own_variables(r, 3, job)));
  for (auto& rank : ranks) {
    const Outcome end = rank->finish();
    EXPECT_EQ(end.status, 1);
    EXPECT_THAT(end.err, AllOf(HasSubstr("rank 2 of 3 on "), HasSubstr(sentence)));
  }
}

TEST(Ranks, AnotherModelOrRequestIsRefusedOnAll) {
  expect_refused({"--model", "other"}, "has the model 'other', rank 0 has 'tiny'");
  expect_refused({"--request", "two"}, "has the request 'two', rank 0 has 'one'");
}

TEST(Ranks, AMissingRankIsNamed) {
  const std::string job = new_job();
  Process zero(command({"--join", "1"}), own_variables(0, 3, job));
  Process one(command({"--join", "1"}), own_variables(1, 3, job));
  for (const Outcome& end : {zero.finish(), one.finish()}) {
    EXPECT_EQ(end.status, 1);
    EXPECT_THAT(end.err, HasSubstr("rank 2 of 3 did not join"));
  }
}

TEST(Ranks, RealMpirun) {
  if (!can("command -v mpirun")) GTEST_SKIP() << "no mpirun here (Debian: openmpi-bin)";
  for (const int n : {2, 3, 4}) {
    const Outcome end = run({"/usr/bin/env", "mpirun", "--allow-run-as-root", "--oversubscribe", "-np",
                             std::to_string(n), program, "--steps", "20"},
                            {{"HOME", std::filesystem::temp_directory_path().string()}});
    EXPECT_EQ(end.status, 0) << end.err;
    for (int r = 0; r < n; ++r)
      EXPECT_THAT(end.out, HasSubstr("rank " + std::to_string(r) + " of " + std::to_string(n) + " by mpirun"));
  }
}

TEST(Ranks, ARankThatHangsEndsAllAndItselfByTheLastResort) {
  const std::string job = new_job();
  std::vector<std::unique_ptr<Process>> ranks;
  for (int r = 0; r < 3; ++r)
    ranks.push_back(
        std::make_unique<Process>(command({"--stall", "2", "--fail_rank", "1", "--hang"}), own_variables(r, 3, job)));
  for (int r = 0; r < 3; ++r) {
    const Outcome end = ranks[static_cast<size_t>(r)]->finish();
    EXPECT_EQ(end.status, r == 1 ? 3 : 1);
    EXPECT_THAT(end.err, AllOf(HasSubstr("rank 1 of 3"), HasSubstr("has not gone on"), HasSubstr("step 3 of 0")));
  }
}

/// Two network namespaces with a cable between them, while it lives.
class Cable {
 public:
  Cable() {
    ok_ = can(ip("netns add " + a()) + " && " + ip("netns add " + b()) + " && " +
              ip("link add name wana netns " + a() + " type veth peer name wanb netns " + b()) + " && " +
              ip("-n " + a() + " addr add 10.99.0.1/24 dev wana") + " && " +
              ip("-n " + b() + " addr add 10.99.0.2/24 dev wanb") + " && " + ip("-n " + a() + " link set wana up") +
              " && " + ip("-n " + b() + " link set wanb up") + " && " + ip("-n " + a() + " link set lo up"));
  }
  ~Cable() { can(ip("netns del " + a()) + "; " + ip("netns del " + b())); }
  Cable(const Cable&) = delete;
  Cable& operator=(const Cable&) = delete;
  bool ok() const { return ok_; }
  std::string a() const { return "wana" + std::to_string(getpid()); }
  std::string b() const { return "wanb" + std::to_string(getpid()); }
  void cut() const { ASSERT_TRUE(can(ip("-n " + a() + " link set wana down"))); }
  std::unique_ptr<Process> start(const std::string& where, const Command& what, const Process::Environment& e) const {
    Command all = {"/bin/sh", "-c", "PATH=$PATH:/sbin:/usr/sbin exec ip netns exec \"$@\"", "sh", where};
    all.insert(all.end(), what.begin(), what.end());
    return std::make_unique<Process>(all, e);
  }

 private:
  static std::string ip(const std::string& text) { return "PATH=$PATH:/sbin:/usr/sbin ip " + text; }
  bool ok_ = false;
};

TEST(Ranks, ACutLinkEndsBothEnds) {
  const Cable cable;
  if (!cable.ok()) GTEST_SKIP() << "network namespaces are not allowed here (needs root and iproute2)";
  std::vector<std::unique_ptr<Process>> ranks;
  for (int r = 0; r < 2; ++r) {
    const Process::Environment e = {{"RANK", std::to_string(r)},  {"WORLD_SIZE", "2"},
                                    {"LOCAL_RANK", "0"},          {"LOCAL_WORLD_SIZE", "1"},
                                    {"MASTER_ADDR", "10.99.0.1"}, {"MASTER_PORT", "29500"}};
    ranks.push_back(cable.start(r == 0 ? cable.a() : cable.b(), command({"--silence", "2"}), e));
  }
  for (auto& rank : ranks) ASSERT_TRUE(rank->wait_for_stderr("working", 60s));
  cable.cut();
  for (int r = 0; r < 2; ++r) {
    const Outcome end = ranks[static_cast<size_t>(r)]->finish(60s);
    EXPECT_EQ(end.status, 1);
    EXPECT_THAT(end.err,
                AllOf(HasSubstr("rank " + std::to_string(1 - r) + " of 2"), HasSubstr("sent nothing for 2 s")));
  }
}

std::vector<pid_t> processes_of(const std::string& marker) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream in(entry.path() / "cmdline");
    const std::string line((std::istreambuf_iterator<char>(in)), {});
    if (line.starts_with(program) && line.find(marker) != std::string::npos) found.push_back(std::stoi(name));
  }
  return found;
}

std::string marker() { return "marker" + std::to_string(getpid()); }

TEST(Supervise, OneCommandRunsAllAndShowsRankZero) {
  const Outcome end = run(command({"--ranks", "4", "--steps", "20"}));
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_EQ(end.out, "rank 0 of 4 by wan --gpus (rank 0 of 4)\n");
  EXPECT_EQ(end.err, "working\n");
}

TEST(Supervise, TheFirstFailureIsTold) {
  for (const std::string rank : {"0", "2"}) {
    const Outcome end = run(command({"--ranks", "3", "--fail_rank", rank, "--request", marker()}));
    EXPECT_EQ(end.status, 1);
    EXPECT_THAT(end.err, HasSubstr("[test] no memory left"));
    EXPECT_THAT(end.err, HasSubstr(rank == "2" ? "rank 2 of 3 on " : "error: [test]"));
    EXPECT_THAT(processes_of(marker()), testing::IsEmpty());
  }
}

TEST(Supervise, SignalsArePassedOn) {
  Process supervisor(command({"--ranks", "3", "--request", marker()}));
  ASSERT_TRUE(supervisor.wait_for_stderr("working", 60s));
  supervisor.signal(SIGTERM);
  EXPECT_EQ(supervisor.finish(60s).status, 128 + SIGTERM);
  EXPECT_THAT(processes_of(marker()), testing::IsEmpty());
}

bool all_are(const std::vector<pid_t>& processes, bool stopped) {
  for (const pid_t p : processes) {
    std::ifstream in("/proc/" + std::to_string(p) + "/stat");
    const std::string line((std::istreambuf_iterator<char>(in)), {});
    if ((line.substr(line.rfind(')') + 1, 2) == " T") != stopped) return false;
  }
  return true;
}

// Longer than a rank may be silent: the time that all were stopped does not count.
TEST(Supervise, CtrlZStopsAllAndAllGoOn) {
  Process supervisor(command({"--ranks", "3", "--silence", "1", "--request", marker()}));
  ASSERT_TRUE(supervisor.wait_for_stderr("working", 60s));
  const std::vector<pid_t> all = processes_of(marker());
  supervisor.signal(SIGTSTP);
  for (int i = 0; i < 1000 && !all_are(all, true); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(all_are(all, true));
  std::this_thread::sleep_for(2500ms);
  supervisor.signal(SIGCONT);
  for (int i = 0; i < 1000 && !all_are(all, false); ++i) std::this_thread::sleep_for(10ms);
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(processes_of(marker()).size(), 4u);
  supervisor.signal(SIGTERM);
  EXPECT_EQ(supervisor.finish(60s).status, 128 + SIGTERM);
}

TEST(Supervise, ItsDeathLeavesNoProcessBehind) {
  auto supervisor = std::make_unique<Process>(command({"--ranks", "3", "--request", marker()}));
  ASSERT_TRUE(supervisor->wait_for_stderr("working", 60s));
  EXPECT_EQ(processes_of(marker()).size(), 4u);
  supervisor.reset();  // SIGKILL
  for (int i = 0; i < 1000 && !processes_of(marker()).empty(); ++i) std::this_thread::sleep_for(20ms);
  EXPECT_THAT(processes_of(marker()), testing::IsEmpty());
}

TEST(Supervise, AKilledRankIsNamedAndNoneIsLeft) {
  Process supervisor(command({"--ranks", "3", "--request", marker()}));
  ASSERT_TRUE(supervisor.wait_for_stderr("working", 60s));
  const std::vector<pid_t> all = processes_of(marker());
  ASSERT_EQ(all.size(), 4u);
  kill(*std::max_element(all.begin(), all.end()), SIGKILL);  // some rank: it is younger than the supervisor
  const Outcome end = supervisor.finish(60s);
  EXPECT_EQ(end.status, 128 + SIGKILL);
  EXPECT_THAT(end.err, HasSubstr("was ended by signal 9"));
  EXPECT_THAT(processes_of(marker()), testing::IsEmpty());
}

}  // namespace
}  // namespace wan::e2e
