#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "io/tensor_index.h"

namespace wan::io {

/// The safetensors files of one model in a folder, found by name without opening them.
struct SafetensorsSet {
  std::filesystem::path folder;
  std::filesystem::path index;               ///< the *.safetensors.index.json, or empty
  std::vector<std::filesystem::path> files;  ///< those that should be there, in order
  std::vector<std::string> missing;          ///< what is not there, as a person would name it; empty if complete
};

/// Finds, in this order: the shards that `STEM.safetensors.index.json` lists; `STEM.safetensors`;
/// `STEM-0000k-of-0000N.safetensors` without an index (all N are expected). Missing files are reported, not thrown; an
/// index that cannot be read, or that names files outside its folder, throws bad_file.
SafetensorsSet find_safetensors(const std::filesystem::path& folder,
                                const std::string& stem = "diffusion_pytorch_model");

/// Opens all files as one index. Throws bad_file with everything that is wrong at once: missing and damaged files, and
/// tensors that the index promises in a file that lacks them.
TensorIndex open_safetensors_set(const SafetensorsSet& set);

/// A set from a path: a folder (see find_safetensors), an index, or a single file.
TensorIndex open_safetensors_path(const std::filesystem::path& path);

}  // namespace wan::io
