#include "comm/ranks.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "core/error.h"

namespace wan::comm {
namespace {

constexpr int max_ranks = 4096;  // far above any use; a larger number is a mistake somewhere

/// What one launcher says.
struct Source {
  std::string launcher;  ///< "torchrun"
  std::string said;      ///< "RANK=1, WORLD_SIZE=2"
  int rank = 0, size = 1;
  std::optional<int> local_rank, local_size, node;
  std::string job;

  std::string text() const { return fmt::format("{} ({})", launcher, said); }
};

class Variables {
 public:
  explicit Variables(const Environment& environment) : environment_(environment) {}

  std::string text(const std::string& name) const {
    const auto found = environment_.find(name);
    return found == environment_.end() ? "" : found->second;
  }
  bool has(const std::string& name) const { return !text(name).empty(); }

  /// Of the first of the names that is set.
  std::optional<int> number(std::initializer_list<const char*> names) const {
    for (const char* name : names)
      if (has(name)) return parse(name, text(name));
    return std::nullopt;
  }

 private:
  static int parse(const char* name, const std::string& text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    require(error == std::errc() && end == text.data() + text.size() && value >= 0, ErrorCode::invalid_argument,
            "[ranks] the environment has {}={}; expected a number from 0 on. Correct or unset it", name, text);
    return value;
  }

  const Environment& environment_;
};

void check(const Source& s) {
  require(s.size >= 1 && s.size <= max_ranks && s.rank >= 0 && s.rank < s.size, ErrorCode::invalid_argument,
          "[ranks] {}: rank {} of {}; expected a rank below the number of ranks, and 1 to {} of them", s.text(), s.rank,
          s.size, max_ranks);
  const int local_rank = s.local_rank.value_or(0), local_size = s.local_size.value_or(local_rank + 1);
  require(local_rank >= 0 && local_rank < local_size && local_size <= s.size, ErrorCode::invalid_argument,
          "[ranks] {}: local rank {} of {} on this machine, {} ranks in all; these do not fit together", s.text(),
          local_rank, local_size, s.size);
}

std::optional<Source> from_flags(const RankFlags& f) {
  if (!f.rank && !f.world_size) {
    require(!f.local_rank && !f.local_world_size, ErrorCode::invalid_argument,
            "[ranks] a local rank or size is given without --rank and --world_size; expected those too");
    return std::nullopt;
  }
  require(f.rank && f.world_size, ErrorCode::invalid_argument,
          "[ranks] only one of --rank and --world_size is given; expected both, or none where a launcher sets them");
  return Source{.launcher = "flags",
                .said = fmt::format("--rank {} --world_size {}", *f.rank, *f.world_size),
                .rank = *f.rank,
                .size = *f.world_size,
                .local_rank = f.local_rank,
                .local_size = f.local_world_size};
}

std::optional<Source> from_torchrun(const Variables& v) {
  const auto rank = v.number({"RANK"}), size = v.number({"WORLD_SIZE"});
  if (!rank) return std::nullopt;
  require(size.has_value(), ErrorCode::invalid_argument,
          "[ranks] the environment has RANK={} but no WORLD_SIZE; expected both (as torchrun sets them) or none. "
          "Unset RANK if nothing started other ranks",
          *rank);
  return Source{.launcher = "torchrun",
                .said = fmt::format("RANK={}, WORLD_SIZE={}", *rank, *size),
                .rank = *rank,
                .size = *size,
                .local_rank = v.number({"LOCAL_RANK"}),
                .local_size = v.number({"LOCAL_WORLD_SIZE"}),
                .node = v.number({"GROUP_RANK"}),
                .job = v.text("TORCHELASTIC_RUN_ID")};
}

// PMIx and Open MPI number their jobs per host; the server's address tells apart two that run at the same time.
std::string pmix_job(const Variables& v) {
  if (!v.has("PMIX_NAMESPACE")) return v.text("OMPI_MCA_ess_base_jobid");
  std::string server;
  for (const char* name : {"PMIX_SERVER_URI41", "PMIX_SERVER_URI4", "PMIX_SERVER_URI3", "PMIX_SERVER_URI2"})
    if (server.empty()) server = v.text(name);
  return v.text("PMIX_NAMESPACE") + " " + server;
}

std::optional<Source> from_open_mpi(const Variables& v) {
  const auto rank = v.number({"OMPI_COMM_WORLD_RANK"}), size = v.number({"OMPI_COMM_WORLD_SIZE"});
  if (!rank || !size) return std::nullopt;
  return Source{.launcher = "mpirun (Open MPI)",
                .said = fmt::format("OMPI_COMM_WORLD_RANK={}, OMPI_COMM_WORLD_SIZE={}", *rank, *size),
                .rank = *rank,
                .size = *size,
                .local_rank = v.number({"OMPI_COMM_WORLD_LOCAL_RANK"}),
                .local_size = v.number({"OMPI_COMM_WORLD_LOCAL_SIZE"}),
                .job = pmix_job(v)};
}

// A batch script carries SLURM_PROCID=0 and the tasks of the whole allocation, although nothing started them.
bool is_batch_script(const Variables& v) {
  return !v.has("SLURM_STEP_ID") && !v.has("SLURM_STEPID") && v.text("ENVIRONMENT") == "BATCH";
}

std::optional<Source> from_slurm(const Variables& v) {
  const auto rank = v.number({"SLURM_PROCID"}), size = v.number({"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"});
  if (!rank || !size || is_batch_script(v)) return std::nullopt;
  Source s{.launcher = "srun (Slurm)",
           .said = fmt::format("SLURM_PROCID={}, SLURM_NTASKS={}", *rank, *size),
           .rank = *rank,
           .size = *size,
           .local_rank = v.number({"SLURM_LOCALID"}),
           .node = v.number({"SLURM_NODEID"})};
  if (v.number({"SLURM_STEP_NUM_NODES", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"}) == 1) s.local_size = *size;
  if (const std::string id = v.text("SLURM_JOB_ID"); !id.empty()) s.job = id + "." + v.text("SLURM_STEP_ID");
  return s;
}

std::optional<Source> from_pmix(const Variables& v) {
  const auto rank = v.number({"PMIX_RANK"}), size = v.number({"WORLD_SIZE"});
  if (!rank) return std::nullopt;
  require(
      size.has_value(), ErrorCode::invalid_argument,
      "[ranks] the environment has PMIX_RANK={}, but nothing says how many ranks there are. Set WORLD_SIZE, or give "
      "--rank and --world_size",
      *rank);
  return Source{.launcher = "PMIx",
                .said = fmt::format("PMIX_RANK={}, WORLD_SIZE={}", *rank, *size),
                .rank = *rank,
                .size = *size,
                .local_rank = v.number({"LOCAL_RANK"}),
                .local_size = v.number({"LOCAL_WORLD_SIZE"}),
                .job = pmix_job(v)};
}

std::optional<Source> from_mpich(const Variables& v) {
  const auto rank = v.number({"PMI_RANK"}), size = v.number({"PMI_SIZE"});
  if (!rank || !size) return std::nullopt;
  return Source{.launcher = "mpiexec (MPICH)",
                .said = fmt::format("PMI_RANK={}, PMI_SIZE={}", *rank, *size),
                .rank = *rank,
                .size = *size,
                .local_rank = v.number({"MPI_LOCALRANKID"}),
                .local_size = v.number({"MPI_LOCALNRANKS"}),
                .job = v.text("PMI_PORT")};
}

// A launcher of one task may have started this one; so may a launcher of one task per machine.
bool contradict(const Source& chosen, const Source& other) {
  if (other.size == 1) return false;
  if (other.size == chosen.size) return other.rank != chosen.rank;
  return chosen.size < other.size || chosen.size % other.size != 0;
}

void find_meeting_place(const RankFlags& flags, const Variables& v, bool slurm, Ranks& ranks) {
  ranks.address = flags.master_addr.value_or(v.text("MASTER_ADDR"));
  if (ranks.address.empty() && slurm && !ranks.one_machine()) {
    for (const char* name : {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"})
      if (ranks.address.empty() && v.has(name)) ranks.address = first_host(v.text(name));
    if (const auto id = v.number({"SLURM_JOB_ID"})) ranks.port = 20000 + *id % 20000;  // jobs side by side
  }
  if (ranks.address.empty()) return;
  if (flags.master_port) {
    ranks.port = *flags.master_port;
  } else if (const auto port = v.number({"MASTER_PORT"})) {
    // torchrun's agent may have its own store at that port, on the same machine.
    ranks.port = *port + (v.text("TORCHELASTIC_USE_AGENT_STORE") == "True" ? 1 : 0);
  } else if (ranks.port == 0) {
    ranks.port = default_port;
  }
  require(ranks.port >= 1 && ranks.port <= 65535, ErrorCode::invalid_argument,
          "[ranks] port {} for the ranks to meet at; expected 1 to 65535. Correct MASTER_PORT or --master_port",
          ranks.port);
}

std::string unfollowed(const Variables& v) {
  if (v.number({"WORLD_SIZE"}).value_or(1) > 1)
    return fmt::format(
        "the environment has WORLD_SIZE={} but no RANK: this process works alone. Start it with torchrun, mpirun or "
        "srun for more",
        v.text("WORLD_SIZE"));
  if (is_batch_script(v) && v.number({"SLURM_NTASKS"}).value_or(1) > 1)
    return fmt::format("in a batch script of {} Slurm tasks: this process works alone. Start it with srun for all",
                       v.text("SLURM_NTASKS"));
  return "";
}

}  // namespace

std::string first_host(const std::string& list) {
  const size_t bracket = list.find('['), comma = list.find(',');
  if (bracket == std::string::npos || comma < bracket) return list.substr(0, comma);
  const size_t end = list.find_first_of(",-]", bracket), close = list.find(']', bracket);
  if (end == std::string::npos || close == std::string::npos) return "";
  const size_t next = std::min(list.find(',', close), list.size());
  return list.substr(0, bracket) + list.substr(bracket + 1, end - bracket - 1) +
         list.substr(close + 1, next - close - 1);
}

Ranks find_ranks(const RankFlags& flags, const Environment& environment) {
  const Variables v(environment);
  Ranks ranks;
  if (v.has("WAN_RANK")) {  // set by the process that started this one, which looked at the others
    ranks.rank = v.number({"WAN_RANK"}).value_or(0);
    ranks.size = v.number({"WAN_WORLD_SIZE"}).value_or(1);
    ranks.local_rank = v.number({"WAN_LOCAL_RANK"}).value_or(ranks.rank);
    ranks.local_size = v.number({"WAN_LOCAL_SIZE"}).value_or(ranks.size);
    ranks.job = v.text("WAN_JOB");
    ranks.source = fmt::format("wan --gpus (rank {} of {})", ranks.rank, ranks.size);
    check({"wan --gpus", fmt::format("WAN_RANK={}", ranks.rank), ranks.rank, ranks.size, ranks.local_rank,
           ranks.local_size, std::nullopt, ""});
    return ranks;
  }

  std::vector<Source> sources;
  for (auto& source : {from_flags(flags), from_torchrun(v), from_open_mpi(v), from_slurm(v), from_mpich(v)})
    if (source) sources.push_back(*source);
  if (sources.empty())
    if (const auto pmix = from_pmix(v)) sources.push_back(*pmix);
  for (const Source& source : sources) {
    check(source);
    require(!contradict(sources.front(), source), ErrorCode::invalid_argument,
            "[ranks] {} and {} contradict each other; expected one launcher, or the same rank from both. Unset the "
            "variables of the one that did not start this process",
            sources.front().text(), source.text());
  }
  if (sources.empty()) {
    ranks.source = "none";
    ranks.note = unfollowed(v);
    return ranks;
  }

  const Source& s = sources.front();
  ranks.rank = s.rank;
  ranks.size = s.size;
  ranks.source = s.text();
  ranks.local_rank = s.local_rank.value_or(0);
  ranks.local_size = s.local_size.value_or(ranks.local_rank + 1);
  ranks.node = s.node.value_or(ranks.rank / ranks.local_size);
  ranks.job = s.job.empty() ? "" : s.launcher + " " + s.job;
  find_meeting_place(flags, v, s.launcher.starts_with("srun"), ranks);
  require(
      ranks.size == 1 || !ranks.address.empty() || (ranks.one_machine() && !ranks.job.empty()),
      ErrorCode::invalid_argument,
      "[ranks] {}: rank {} of {} does not know where rank 0 is. Set MASTER_ADDR to its machine's name or address on "
      "every rank (mpirun -x MASTER_ADDR=...), and MASTER_PORT if {} is taken there",
      ranks.source, ranks.rank, ranks.size, default_port);
  return ranks;
}

}  // namespace wan::comm
