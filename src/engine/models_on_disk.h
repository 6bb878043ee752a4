#pragma once
#include <memory>
#include <optional>
#include <string>

#include "io/checkpoint.h"
#include "models/dit.h"
#include "models/umt5.h"
#include "models/vae_stream.h"
#include "pipeline/denoise.h"
#include "pipeline/task.h"
#include "weights/file_source.h"
#include "weights/sharded_blocks.h"

/// A checkpoint whose headers are read and checked, and its models as they are asked for.
namespace wan::engine {

/// A transformer's dimensions, from its config.json and its tensors. Throws Error(bad_file).
models::DitConfig read_dit_config(const io::DitFiles& files);

/// A transformer: its outer weights in memory (or mapped), and its blocks as they are asked for.
class LoadedDit {
 public:
  /// Each block stays, where it lies in its file or in memory of its own.
  LoadedDit(const io::TensorIndex& index, const models::DitConfig& config, const weights::Policy& policy);
  /// Blocks come through a pool, which must outlive it.
  LoadedDit(const io::TensorIndex& index, const models::DitConfig& config, const weights::Policy& policy,
            weights::BlockPool& pool, const weights::StreamedBlocks::Counts& counts);
  /// This rank's shards of blocks come through `pool`, the others' from their ranks.
  LoadedDit(const io::TensorIndex& index, const models::DitConfig& config, const weights::Policy& policy,
            weights::BlockPool& pool, const weights::StreamedBlocks::Counts& counts, weights::GatherPool& gathered);
  const models::Dit& dit() const noexcept { return dit_; }
  /// Of what comes through a pool; null without one.
  weights::HostBlocks* host() const noexcept;
  /// See StreamedBlocks::announce; `next` has the same pools. Without them of no effect.
  void announce(LoadedDit& next) noexcept;

 private:
  weights::WeightSet outer_;
  weights::StreamedBlocks* streamed_ = nullptr;
  weights::ShardedBlocks* sharded_ = nullptr;
  std::unique_ptr<weights::BlockSource> blocks_;
  models::Dit dit_;
};

/// The text encoder; its blocks are converted as they are used and not kept.
class LoadedUmt5 {
 public:
  /// With `copies`, a block arrives on the device while the one before it computes.
  LoadedUmt5(const io::TensorIndex& index, const models::Umt5Config& config, const weights::Policy& policy,
             weights::CopyQueue* copies);
  const models::Umt5& model() const noexcept { return model_; }

 private:
  weights::WeightSet outer_;
  std::unique_ptr<weights::BlockPool> pool_;
  std::unique_ptr<weights::BlockSource> blocks_;
  models::Umt5 model_;
};

class ModelsOnDisk {
 public:
  /// Reads headers and shapes. Throws Error(bad_file) with everything that is missing or does not fit at once,
  /// and Error(invalid_argument) if the checkpoint is of another task than the one asked for.
  ModelsOnDisk(const std::filesystem::path& ckpt_dir, std::optional<Task> task);

  Task task() const noexcept { return task_; }
  /// The task's defaults, with those of the checkpoint's own generation.json (if any) over them.
  const pipeline::TaskDefaults& defaults() const noexcept { return defaults_; }
  const io::Checkpoint& files() const noexcept { return files_; }
  const models::DitConfig& dit_config() const noexcept { return high_; }
  const models::DitConfig& dit_config(pipeline::Expert expert) const noexcept {
    return expert == pipeline::Expert::low ? low_ : high_;
  }
  const models::Umt5Config& umt5_config() const noexcept { return umt5_; }
  const models::VaeConfig& vae_config() const noexcept { return vae_; }
  /// Pixels per token and side: sizes must be multiples of these.
  int64_t width_step() const noexcept { return vae_.stride_s() * high_.patch[2]; }
  int64_t height_step() const noexcept { return vae_.stride_s() * high_.patch[1]; }

  /// The largest block of the transformers, as the device has it, or its shard.
  int64_t block_place_bytes(DType compute, const weights::Shard& shard = {}) const;
  std::unique_ptr<LoadedDit> load_dit(pipeline::Expert expert, const weights::Policy& policy) const;
  std::unique_ptr<LoadedDit> load_dit(pipeline::Expert expert, const weights::Policy& policy, weights::BlockPool& pool,
                                      const weights::StreamedBlocks::Counts& counts,
                                      weights::GatherPool* gathered = nullptr) const;
  weights::WeightSet load_conditioning(pipeline::Expert expert, const weights::Policy& policy) const;
  std::unique_ptr<LoadedUmt5> load_umt5(const weights::Policy& policy, weights::CopyQueue* copies = nullptr) const;
  weights::WeightSet load_vae_encoder(const weights::Policy& policy) const;
  weights::WeightSet load_vae_decoder(const weights::Policy& policy) const;

 private:
  void read_generation_defaults();
  void check_fit() const;
  const io::TensorIndex& dit_files(pipeline::Expert expert) const;

  io::Checkpoint files_;
  Task task_ = Task::t2v_A14B;
  pipeline::TaskDefaults defaults_;
  models::DitConfig high_, low_;
  models::Umt5Config umt5_;
  models::VaeConfig vae_;
};

}  // namespace wan::engine
