#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "wan/error.h"
#include "wan/types.h"

/// Wan2.2 video generation. Open an Engine on a checkpoint folder, prepare a Request, generate.
/// Every function throws wan::Error; nothing prints, exits or aborts. An Engine serves one thread at a time.
namespace wan {

class Group;
namespace engine {
struct Ranks;
}

/// The library's version, such as "0.1.0".
const char* version() noexcept;

/// How to open a checkpoint.
struct EngineOptions {
  std::filesystem::path ckpt_dir;      ///< an official checkpoint folder
  std::optional<Task> task;            ///< default: what the checkpoint's own shapes say
  std::string device = "auto";         ///< "auto", "cpu" or "cuda"
  std::optional<Precision> precision;  ///< of the matrix work; default: f32 on the CPU, bf16 on a GPU
  int threads = 0;                     ///< CPU threads; 0: all that this process may use
  bool convert_model_dtype = false;    ///< round every DiT weight to bf16 first, as upstream's flag does
  bool t5_cpu = false;                 ///< keep the text encoder on the CPU
  std::optional<int64_t> vram;         ///< bytes of the GPU's memory that may be used; default: what is free
  std::optional<int64_t> ram;          ///< of the host's; default: what is available
  std::optional<bool> offload_model;   ///< upstream's flag: true gives the transformers' memory back before decoding
  /// The processes that work on this together, of which this is one: from share_work(); absent: this one alone.
  std::shared_ptr<const engine::Ranks> ranks;
};

/// How the ranks of a group share a generation.
struct Sharing {
  /// Ranks that share the tokens of a forward; the rest of them, twice as many at most, share the two branches of the
  /// guidance. Default: the branches first, for that costs no exchange.
  std::optional<int> ulysses_size;
  bool guided = true;     ///< whether there are two branches
  bool dit_fsdp = false;  ///< every rank keeps one shard of each of the transformers' blocks
};

/// For EngineOptions::ranks; the engine then belongs to the group, as all ranks' engines must. Null for a group of one.
/// Throws Error(invalid_argument) where the sizes do not fit together.
std::shared_ptr<const engine::Ranks> share_work(const Group& group, const Sharing& sharing);

/// What to generate. Fields left empty take the task's defaults, which are upstream's.
struct Request {
  std::string prompt;
  std::optional<std::string> negative_prompt;
  std::filesystem::path image;       ///< i2v needs one, ti2v may have one
  std::optional<int> width, height;  ///< pixels; with an image their product is the area, its ratio the image's
  std::optional<int> frames;         ///< 4n + 1
  std::optional<double> fps;
  std::optional<SolverKind> solver;
  std::optional<int> steps;
  std::optional<double> shift;
  std::optional<double> guidance_low, guidance_high;  ///< guidance scale of the low- and the high-noise expert
  int64_t seed = -1;                                  ///< -1 draws one
  bool seed_was_drawn = false;                        ///< set by prepare(): a saved run's seed may take its place
  Rng rng = Rng::cuda;
  std::filesystem::path noise;    ///< safetensors with a tensor `noise` [C, F, H, W]: used instead of the seed
  std::filesystem::path latents;  ///< safetensors with a tensor `latents` [C, F, H, W]: decode only
  std::filesystem::path output;   ///< .mp4, .webm, .y4m, or a folder of PNG frames; empty: frames go to the sink alone
  std::filesystem::path save_latents;  ///< also keep the final latents, as a safetensors file
  std::filesystem::path dump;          ///< also keep every intermediate, as a safetensors file
  bool metadata = true;                ///< store the complete request in the output
  /// Go on where an interrupted run of the same request for the same folder stopped, with the bytes of a run that was
  /// not, and save steps for that beside the output: true after every step, false never. Default: once a minute.
  std::optional<bool> resume;
};

/// Where a generation is.
struct Progress {
  Stage stage = Stage::load;
  int64_t done = 0, total = 0;  ///< units of the stage: denoising steps, latent frames, ...
  std::string expert;           ///< while sampling: "high", "low" or "model"
  double seconds_per_unit = 0;  ///< of the stage, measured so far; 0: not known yet
  double seconds_left = -1;     ///< of the stage; negative: not known yet
  double elapsed = 0;           ///< seconds since generate() was called
};

/// One finished frame: rgb is height * width * 3 bytes, valid during the call.
using FrameSink = std::function<void(std::span<const uint8_t> rgb, int width, int height)>;

struct Hooks {
  std::function<void(const Progress&)> on_progress;
  std::function<void(const std::string&)> on_note;  ///< a sentence the user may want to read, such as a changed setting
  FrameSink on_frame;
  const std::atomic<bool>* cancel = nullptr;  ///< set it to stop: generate() throws Error(cancelled)
};

struct Result {
  std::filesystem::path output;  ///< as written; empty if none was asked for
  int64_t seed = 0;              ///< the one that was used
  int width = 0, height = 0, frames = 0;
  double fps = 0;
  double seconds = 0;
  std::string metadata;  ///< the complete request as JSON
};

class Engine {
 public:
  /// Opens a checkpoint: reads headers and shapes, no weights. Reports all missing and mis-shaped tensors at once.
  static Engine open(const EngineOptions& options);
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  Task task() const noexcept;
  /// The request with every default filled in, after all checks that need no weights: sizes, ranges, readable image,
  /// writable output. Throws Error(invalid_argument) that names the nearest valid value.
  Request prepare(const Request& request) const;
  /// Generates one video (prepares the request first). Output files appear whole or not at all. Of several ranks, every
  /// one is to be called with the same request; the first alone decodes, writes and reports, the others return before.
  Result generate(const Request& request, const Hooks& hooks = {});

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// The request stored in a video (or PNG folder) by generate(), as JSON; nullopt if there is none.
std::optional<std::string> read_metadata(const std::filesystem::path& file);

}  // namespace wan
