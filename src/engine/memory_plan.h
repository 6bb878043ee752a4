#pragma once
#include "engine/dry_run.h"
#include "engine/vae_bands.h"

/// How a generation fits into a budget of memory, from a dry run of its own stages.
namespace wan::engine {

/// What the driver takes of a GPU for a process before anything is allocated: the CUDA context, the kernels of this
/// program and of the libraries. An estimate, to be calibrated by a measurement on each kind of GPU.
inline constexpr int64_t cuda_context_bytes = 600'000'000;
/// What the kernels of a VAE's convolutions add to that: measured, 0.06 to 0.14 GB on an H100.
inline constexpr int64_t vae_kernel_bytes = 120'000'000;
/// Places for blocks beside those that stay: one computes while the next one arrives.
inline constexpr int64_t streaming_places = 2;
/// Page-locked memory of the host through which weights go to a GPU.
inline constexpr int64_t staging_bytes = int64_t{64} << 20;

/// The most bytes at once of each stage, in one memory.
struct StagePeaks {
  int64_t text = 0, image = 0;
  int64_t condition = 0;  ///< time and text embedding before the first forward
  int64_t sample = 0, decode = 0;
  int64_t most() const noexcept;
  const char* tightest() const noexcept;  ///< "text", "image", "sample" or "decode"
};

/// Where the transformers' blocks are during sampling.
struct Placement {
  bool fits = false;             ///< within the budget, on the device; `peaks` are then at most the budget
  bool both_experts = false;     ///< all blocks of both stay; else the expert at work has the places
  bool streamed = false;         ///< some blocks come from the host in every forward
  int64_t resident = 0;          ///< blocks of the expert at work that stay
  int64_t blocks = 0;            ///< of one expert
  int64_t places = 0;            ///< blocks that there is room for
  int64_t in_host = 0;           ///< of each expert's other blocks, kept in host memory
  int64_t from_disk = 0;         ///< and those that are read from the files in every forward
  bool kept_for_decode = false;  ///< the transformers may stay while the VAE decodes, and for the next generation
  VaeBands bands;                ///< the fewest with which the VAE fits; one on the CPU
  StagePeaks device, host;
};

class MemoryPlan {
 public:
  /// Runs the stages dry: some milliseconds.
  explicit MemoryPlan(const GenerationSpec& spec);

  const GenerationSpec& spec() const noexcept { return spec_; }
  const ModelBytes& weights() const noexcept { return weights_; }
  const StageBytes& stages() const noexcept { return stages_; }
  int64_t block_bytes() const noexcept;  ///< of the largest block of a transformer, or of its shard

  /// The most blocks resident that `budget` bytes of the device (as its driver counts them) allow; of the others as
  /// many in host memory as `host_budget` allows. On the CPU all blocks are resident, and `budget` is the host's.
  Placement place(int64_t budget, int64_t host_budget = no_limit) const;
  /// All blocks of all experts, whatever it takes.
  Placement place_all() const;
  /// All blocks but `resident` of each expert streamed; the VAE in as many bands as `budget` asks for.
  Placement place_streamed(int64_t resident, int64_t host_budget = no_limit, int64_t budget = no_limit) const;
  /// With the least memory: no block resident where they can be streamed, and the VAE in many bands.
  Placement least() const;
  /// The smallest budget in which the generation runs.
  int64_t minimum() const { return least().device.most(); }

  static constexpr int64_t no_limit = INT64_MAX;

 private:
  int64_t experts() const noexcept;  // that have steps
  StagePeaks other_stages(int64_t held_while_decoding) const;
  void choose_bands(Placement& placement, int64_t budget) const;
  StagePeaks host(const Placement& placement) const;

  GenerationSpec spec_;
  ModelBytes weights_;  // of shards, where there are any
  StageBytes stages_;
  ExpertSteps steps_;
  int64_t gathered_ = 0;  // places for whole blocks, where there are shards
};

}  // namespace wan::engine
