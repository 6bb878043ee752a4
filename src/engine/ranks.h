#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "core/context.h"
#include "engine/saved_run.h"
#include "parallel/mesh.h"

namespace wan::engine {

/// The ranks of a run, of which this process is one, and how they share the work: EngineOptions::ranks. The same on all
/// of them but for `world`.
struct Ranks {
  std::shared_ptr<comm::Communicator> world;  ///< of the device's memory; used by one engine at a time
  parallel::MeshSizes mesh;
  bool shard_dit = false;      ///< every rank keeps one shard of each of the transformers' blocks (--dit_fsdp)
  int gpu = 0;                 ///< CUDA's number of this rank's
  int on_this_machine = 1;     ///< ranks that share its memory and CPUs
  std::function<void()> tick;  ///< called as Context::poll is; throws when another rank has failed. May be absent
  std::function<void(const std::string& state)> report;  ///< what this rank does now. May be absent
  /// Throws on all ranks where a value differs. May be absent.
  std::function<void(const std::vector<std::pair<std::string, std::string>>& same)> agree;

  bool leads() const noexcept { return world->rank() == 0; }
};

/// tensor = rank 0's. Contiguous.
void broadcast(Context& ctx, comm::Communicator& world, const Tensor& tensor);

/// What every rank must begin with as rank 0 does.
struct Start {
  int64_t seed = 0;
  bool video = false;                    ///< somebody wants the frames
  std::optional<SavedRun::Found> found;  ///< the steps that an interrupted run left
};

/// Rank 0's start for all. `latent` and `history` are what a saved run of this request has.
void share_start(Context& ctx, comm::Communicator& world, const Shape& latent, int64_t history, Start& start);

}  // namespace wan::engine
