#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "wan/error.h"

/// Models from the Hugging Face Hub or ModelScope, into the cache that `huggingface_hub` reads too or into a folder.
namespace wan {

enum class ModelSource { hugging_face, modelscope };

struct DownloadOptions {
  std::string model;  ///< "t2v-A14B", "i2v-A14B", "ti2v-5B", or "org/repo", each with "@revision" or without
  ModelSource source = ModelSource::hugging_face;
  std::string endpoint;             ///< scheme and host; empty: the source's own
  std::string token;                ///< of the Hugging Face Hub; sent to the endpoint's host alone; empty: none
  std::filesystem::path cache;      ///< HF_HUB_CACHE: holds models--Org--Name folders
  std::filesystem::path local_dir;  ///< plain files in this folder instead of the cache
  /// Float32 shards of transformers become bf16 as soon as they are there: half the disk, one of them in both forms at
  /// a time. What is computed in float32 whatever the precision stays (see ConvertOptions::bf16). Needs local_dir.
  bool bf16 = false;
  bool all = false;         ///< every file of the repository, not only those that wan reads
  bool offline = false;     ///< no network: gives what is there, or fails
  int connections = 8;      ///< 1 to 64 at once
  int answer_timeout = 10;  ///< seconds without a connection or an answer to a question about a file
  int stall_timeout = 10;   ///< seconds in which a transfer moves less than 1 KB/s
};

/// Known before the first byte of a file comes.
struct DownloadPlan {
  std::string repo, revision, commit;
  std::filesystem::path folder;  ///< where the model will be
  int64_t files = 0;
  int64_t total_bytes = 0;    ///< of all files
  int64_t present_bytes = 0;  ///< of these are on the disk already, from before
};

struct DownloadProgress {
  int64_t done_bytes = 0, total_bytes = 0;  ///< received or present
  int64_t verified_bytes = 0;               ///< of done_bytes: hashed too
  int64_t done_files = 0, total_files = 0;
  double bytes_per_second = 0;  ///< lately; 0: not known yet
  double seconds_left = -1;     ///< negative: not known yet
};

struct DownloadHooks {
  std::function<void(const DownloadPlan&)> on_plan;
  std::function<void(const DownloadProgress&)> on_progress;  ///< some five times a second, from download()'s thread
  std::function<void(const std::string& path)> on_file;      ///< complete and verified; from any thread, one at a time
  std::function<void(const std::string& text)> on_note;      ///< such as a retry; from any thread, one at a time
  const std::atomic<bool>* cancel = nullptr;                 ///< set it to stop: download() throws Error(cancelled)
};

struct DownloadResult {
  std::string repo, commit;
  std::filesystem::path folder;  ///< for EngineOptions::ckpt_dir
  int64_t files = 0;
  int64_t total_bytes = 0;
  int64_t fetched_bytes = 0;  ///< received in this call
  double seconds = 0;
};

/// Fetches a model, or completes one that is there in part: what an earlier call received before it was stopped or
/// killed is kept. Every file is compared with the hub's sha256 (or git's sha1) before it gets its name.
/// Throws invalid_argument (the name, the options, too little disk space), comm (the hub cannot be reached, refuses or
/// sends something wrong), bad_file (the disk), cancelled, unsupported (this build has no HTTP client).
DownloadResult download(const DownloadOptions& options, const DownloadHooks& hooks = {});

/// The folder of a model that download() has put into `cache` complete; `model` as in DownloadOptions. Nullopt if it
/// is not there. No network.
std::optional<std::filesystem::path> find_model(const std::string& model, const std::filesystem::path& cache);

/// Whether find_model() and download() take `text` for a model: a known name, or "org/repo".
bool is_model_name(const std::string& text);

}  // namespace wan
