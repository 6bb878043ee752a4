#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wan/error.h"

/// Several processes that work on one video together, each with a GPU (or a share of the CPUs) of its own.
namespace wan {

struct GroupOptions {
  /// As given on the command line; absent where nothing was.
  std::optional<int> rank, world_size, local_rank, local_world_size;
  std::optional<std::string> master_addr;
  std::optional<int> master_port;
  /// Variables by name, in which launchers (torchrun, mpirun, srun, wan itself) tell a process its rank.
  std::map<std::string, std::string> environment;
  std::string device = "auto";  ///< "auto", "cpu" or "cuda"
  /// What must be the same on every rank, such as {"program", "0.1.0"}; see Group::agree().
  std::vector<std::pair<std::string, std::string>> same;
  double join_seconds = 120;    ///< for all ranks to come
  double silence_seconds = 30;  ///< for a sign of life of each
  double stall_seconds = 300;   ///< for each one's work to go on; 0: for ever
  std::function<void()> poll;   ///< called while waiting for the others; throws to give up
  /// Called from another thread when the group has ended, but this rank's thread hangs so that no exception can tell
  /// it: end the process. Default: nothing is done.
  std::function<void(const Error&)> on_unheeded;
};

/// This process's place in a group; copies are the same one. The last one's end tells the others that this rank is
/// done. When a rank dies, falls silent, stalls or fails, the group ends: calls here and waiting for other ranks throw
/// Error with one sentence that names the rank, its machine and its last state, on every rank.
class Group {
 public:
  int rank() const noexcept;
  int size() const noexcept;
  int local_rank() const noexcept;             ///< among the ranks of this machine
  int gpu() const noexcept;                    ///< CUDA's number of this rank's GPU; -1: the CPU
  const std::string& source() const noexcept;  ///< who gave the rank, such as "torchrun (RANK=1, WORLD_SIZE=2)"
  const std::string& note() const noexcept;    ///< a sentence on what was found but not followed; or empty

  /// What this rank does now, such as "step 12 of 40, high expert"; the others see it if this rank fails.
  void report(const std::string& state) const;
  /// This rank's work goes on; throws if the group has ended.
  void tick() const;
  /// From now on a rank whose work does not go on for so long ends the group; 0: never.
  void set_stall_limit(double seconds) const;
  /// All ranks call it; throws on all where a value differs, and says which rank has which.
  void agree(const std::vector<std::pair<std::string, std::string>>& same) const;
  /// This rank cannot go on: ends the group with its message. To be called with the error that ends the work.
  void fail(const Error& error) const noexcept;

  struct Impl;
  explicit Group(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
  Impl& impl() const noexcept { return *impl_; }
  const std::shared_ptr<Impl>& impl_pointer() const noexcept { return impl_; }

 private:
  std::shared_ptr<Impl> impl_;
};

/// Whether a launcher (torchrun, mpirun, srun, or wan itself) started this process as one of several, and as which.
/// Throw Error(invalid_argument) where variables contradict each other.
bool is_one_of_several(const std::map<std::string, std::string>& environment);
int rank_of(const std::map<std::string, std::string>& environment);

/// Finds this process's rank and meets the others; a group of one where nothing started others. Throws
/// Error(invalid_argument) where flags and variables contradict each other, Error(comm) on all ranks where one did not
/// come, came twice or differs, and Error(unsupported or device) where GPUs cannot be used together.
Group join_group(const GroupOptions& options);

}  // namespace wan
