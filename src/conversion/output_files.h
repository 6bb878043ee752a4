#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/models_on_disk.h"
#include "io/tensor_stream.h"
#include "wan/convert.h"

namespace wan::conversion {

/// A file of the checkpoint to be written, and how.
struct OutputFile {
  enum class Kind { text, safetensors, torch, copy };
  std::string path;  ///< within the output folder
  Kind kind = Kind::text;
  std::string text;
  std::vector<io::TensorCopy> tensors;           ///< of safetensors and torch
  std::shared_ptr<const io::MappedFile> source;  ///< of copy

  /// An upper bound; exact but for torch.
  int64_t bytes() const;
  void stream(const io::ByteSink& sink) const;
};

/// All files of the checkpoint in the order to write them in: those that make it one come last. `source` must outlive
/// them. Throws unsupported with every tensor that the other layout has no name for, bad_file, invalid_argument.
std::vector<OutputFile> output_files(const engine::ModelsOnDisk& source, const ConvertOptions& options);

}  // namespace wan::conversion
