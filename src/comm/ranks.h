#pragma once
#include <map>
#include <optional>
#include <string>

namespace wan::comm {

/// What the command line says about ranks; absent where it says nothing.
struct RankFlags {
  std::optional<int> rank, world_size, local_rank, local_world_size;
  std::optional<std::string> master_addr;
  std::optional<int> master_port;
};

/// Variables of the environment, by name.
using Environment = std::map<std::string, std::string>;

/// This process's place among the ranks of a job, and where they meet.
struct Ranks {
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;  ///< among the ranks of this machine
  int node = 0;                        ///< of this machine among the job's
  std::string address;                 ///< of rank 0's machine; empty: none is known
  int port = 0;                        ///< there; 0: none is known
  std::string job;                     ///< a name that this job's ranks share; empty: none is known
  std::string source;                  ///< who gave the rank, such as "torchrun (RANK=1, WORLD_SIZE=2)"
  std::string note;                    ///< what was found but not followed, a sentence; or empty

  /// All ranks are on this machine, as far as the launcher says.
  bool one_machine() const noexcept { return local_size == size; }
};

/// The port where ranks meet if an address is given without one; torch.distributed's.
inline constexpr int default_port = 29500;

/// Finds the rank, in this order: flags; `wan --gpus` itself (WAN_RANK...); torchrun (RANK, WORLD_SIZE, LOCAL_RANK,
/// LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT); Open MPI (OMPI_COMM_WORLD_*); Slurm (SLURM_PROCID...); PMIx with
/// WORLD_SIZE (PMIX_RANK); MPICH and Intel MPI (PMI_RANK, PMI_SIZE, MPI_LOCALRANKID). Otherwise rank 0 of 1: a
/// WORLD_SIZE without a rank, as rented machines set it, is not followed. An address and port that flags or MASTER_ADDR
/// and MASTER_PORT give are taken with any of them. Throws Error(invalid_argument) for values that are no ranks, and
/// where two of them contradict each other (a launcher that starts another one does not: 2 nodes of 8 ranks are 16).
Ranks find_ranks(const RankFlags& flags, const Environment& environment);

/// The first machine of a Slurm list, such as "gpu003" of "gpu[003-005,9],login1".
std::string first_host(const std::string& list);

}  // namespace wan::comm
