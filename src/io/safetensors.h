#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "io/tensor_index.h"

namespace wan::io {

/// One safetensors file: its tensors, and the free-form `__metadata__` of its header.
struct SafetensorsFile {
  TensorIndex tensors;
  std::map<std::string, std::string> metadata;
};

/// Opens a file in the format of https://github.com/huggingface/safetensors: an 8-byte length, a JSON header of at most
/// 100 MB, then the tensors without gaps. Reads the header only.
/// Throws bad_file, naming file, tensor and offset, unless the header describes exactly the bytes that are there:
/// truncated files, gaps, overlaps, reversed offsets, sizes that do not match dtype and shape, duplicate keys and
/// element types that wan does not know are refused.
SafetensorsFile open_safetensors(const std::filesystem::path& path);
SafetensorsFile open_safetensors(std::shared_ptr<const MappedFile> file);

}  // namespace wan::io
