#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "wan/error.h"

/// Checkpoints from one layout and precision to another, on this machine's disk.
namespace wan {

/// How a checkpoint folder is laid out; Engine::open takes both.
enum class CheckpointLayout {
  official,   ///< as Wan-AI publishes it: high_noise_model/, low_noise_model/ (or the root), .pth files, google/
  diffusers,  ///< as diffusers' pipelines read and write it: model_index.json, transformer/, vae/, text_encoder/, ...
};

struct ConvertOptions {
  std::filesystem::path source;  ///< a checkpoint folder in either layout, float32 or bf16, in any number of files
  std::filesystem::path output;  ///< a new folder, or one that an earlier call with the same options left unfinished
  CheckpointLayout layout = CheckpointLayout::official;
  /// Matrices of transformers and text encoder become bf16. What is computed in float32 whatever the precision (norms,
  /// biases, modulation, time embedding, head; and the VAE) stays, so that a bf16 run gives the same video as before.
  bool bf16 = false;
  int64_t shard_bytes = 0;  ///< at most so many a file of transformers (and diffusers' text encoder); 0: one file each
};

/// Known before anything is written.
struct ConvertPlan {
  std::filesystem::path output;
  int64_t files = 0;
  int64_t total_bytes = 0;    ///< of all files
  int64_t present_bytes = 0;  ///< of these were there, complete and with the recorded sha256
};

struct ConvertProgress {
  int64_t done_bytes = 0, total_bytes = 0;
  int64_t done_files = 0, total_files = 0;
  double bytes_per_second = 0;  ///< lately; 0: not known yet
  double seconds_left = -1;     ///< negative: not known yet
};

/// All are called from the caller's thread.
struct ConvertHooks {
  std::function<void(const ConvertPlan&)> on_plan;
  std::function<void(const ConvertProgress&)> on_progress;  ///< some five times a second
  std::function<void(const std::string& path)> on_file;     ///< written (or, by verify, found right); relative
  std::function<void(const std::string& text)> on_note;
  const std::atomic<bool>* cancel = nullptr;  ///< set it to stop: Error(cancelled) is thrown
};

struct ConvertResult {
  std::filesystem::path folder;  ///< for EngineOptions::ckpt_dir
  int64_t files = 0;
  int64_t total_bytes = 0;
  int64_t written_bytes = 0;  ///< in this call
  double seconds = 0;
};

/// Writes the checkpoint anew, with a few megabytes in memory whatever the size of its tensors. Each file appears whole
/// or not at all; its sha256 is recorded in wan-convert.json beside, and the files that make the folder a checkpoint
/// (config.json, model_index.json) come last. A later call with the same options keeps the files that have the recorded
/// sha256 and writes the others. Tensors that keep their type keep their bytes.
/// Throws invalid_argument (the options, a folder that holds something else, too little disk space), bad_file (the
/// source, the disk), unsupported (tensors that the other layout has no name for; a build without libcrypto),
/// cancelled.
ConvertResult convert(const ConvertOptions& options, const ConvertHooks& hooks = {});

/// Compares every file of a folder that convert() has written with its recorded sha256. Throws bad_file that names all
/// that are missing or have changed.
ConvertResult verify_converted(const std::filesystem::path& folder, const ConvertHooks& hooks = {});

}  // namespace wan
