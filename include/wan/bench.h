#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "wan/types.h"

/// How fast this machine runs the models: synthetic weights and data, no checkpoint file needed.
namespace wan {

struct BenchOptions {
  Task task = Task::t2v_A14B;
  bool dit = true, vae = true, t5 = true;    ///< what to run
  std::optional<int> width, height;          ///< pixels; default: the task's
  std::optional<int> frames;                 ///< 4n + 1; default: the task's
  std::string device = "auto";               ///< "auto", "cpu" or "cuda"
  std::optional<Precision> precision;        ///< default: f32 on the CPU, bf16 on a GPU
  int threads = 0;                           ///< CPU threads; 0: all that this process may use
  int runs = 3;                              ///< timed runs of each part
  int vae_bands = 1;                         ///< bands of rows that the VAE works in
  std::optional<int> layers;                 ///< run only the first blocks of DiT and text encoder, and extrapolate
  std::filesystem::path ckpt_dir;            ///< take the dimensions of this checkpoint instead of the official ones
  std::function<void(std::string)> on_note;  ///< what is being done
};

/// Ops of one kind, or of one kind and size, within a part, from one run that waits after every op.
struct BenchOps {
  std::string name;
  double calls = 0;
  double seconds = 0;
  double tflop = 0;                     ///< multiply-adds count twice; none where memory is the limit
  std::optional<double> floor_seconds;  ///< see BenchPart
};

/// One timed computation. With BenchOptions::layers all figures are extrapolated to the whole model: linearly from
/// runs with that many blocks and with none.
struct BenchPart {
  std::string name;  ///< "dit", "vae_encode", "vae_decode" or "t5"
  std::string what;  ///< a sentence for people: tokens, frames
  double median_seconds = 0;
  std::vector<double> seconds;  ///< of each timed run
  double warm_up_seconds = 0;   ///< of the first run, in which kernels are chosen
  double tflop = 0;
  /// The least that the work can take at the rates measured for this GPU's libraries, each op by itself: the larger of
  /// its FLOP over the rate for its kind and its bytes over the rate of a copy. Absent where no rates are known.
  std::optional<double> floor_seconds;
  int64_t weight_bytes = 0;            ///< of this part's weights on the device
  int64_t peak_bytes = 0;              ///< the most that was allocated on the device at once, weights included
  bool finite = true;                  ///< every element of the result
  int64_t layers_run = 0, layers = 0;  ///< 0 of a model without layers; extrapolated if they differ
  std::vector<BenchOps> families;      ///< linear, self-attention, cross-attention, convolution, norms, other
  std::vector<BenchOps> ops;           ///< the same in detail: "linear bf16 75600x5120x13824"; the longest first
};

struct BenchReport {
  Task task = Task::t2v_A14B;
  std::string dimensions;  ///< "official", or the checkpoint folder
  int width = 0, height = 0, frames = 0;
  std::string device;  ///< "CPU", or the GPU's name
  Precision precision = Precision::f32;
  int threads = 0, runs = 0;
  std::string rates;  ///< where the floors' rates are from; empty: none known
  std::vector<BenchPart> parts;
};

/// Runs the benchmark. Throws Error(invalid_argument) for options that no model can have, and what a generation throws.
BenchReport run_bench(const BenchOptions& options);

/// How long the weights of a checkpoint's transformers take from their files to the device, as a generation loads them,
/// beside what must happen at least: reading the files, and copying to a GPU. All in seconds for the whole; the files
/// are in the page cache but for the first read.
struct LoadReport {
  Task task = Task::t2v_A14B;
  std::string checkpoint;
  std::string device;  ///< "CPU", or the GPU's name
  Precision precision = Precision::f32;
  int threads = 0, runs = 0, transformers = 0;
  int64_t file_bytes = 0;    ///< of the transformers' files
  int64_t device_bytes = 0;  ///< of their weights in the device's memory; files used in place are not counted
  double load_seconds = 0, first_load_seconds = 0;  ///< the median; the first of all
  double read_seconds = 0, first_read_seconds = 0;  ///< of file_bytes in pieces of 16 MiB, by as many threads
  std::optional<double> copy_seconds;               ///< of device_bytes, from pinned memory to a GPU
  double open_device_seconds = 0;                   ///< of the process's first use of the device
  double open_checkpoint_seconds = 0;               ///< finding the files, reading and checking all headers
  double open_tokenizer_seconds = 0;
  /// Load over the slower of read and copy.
  double ratio() const noexcept;
};

/// Loads the transformers of options.ckpt_dir one after the other: options.device, precision, threads and runs count.
/// Throws as Engine::open does.
LoadReport run_load_bench(const BenchOptions& options);

}  // namespace wan
