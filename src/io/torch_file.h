#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/tensor_index.h"

namespace wan::io {

/// Opens what torch.save writes for a state dict (.pth, .pt, .bin since torch 1.6): a zip archive of a pickle and one
/// member per storage. The state dict is a flat dict of tensors, or lies under "state_dict" or "model" in a dict.
/// Only the pickle and the zip directory are read; nothing is executed, see pickle.h.
/// Throws bad_file, naming file and tensor, for anything else, such as tensors that are not contiguous, storages
/// shorter than their tensors, big-endian archives and globals other than tensors' and OrderedDict's.
TensorIndex open_torch_file(const std::filesystem::path& path);
TensorIndex open_torch_file(std::shared_ptr<const MappedFile> file);

/// A tensor as a pickled state dict describes it; the data are elements of the archive's member data/`storage`.
struct PickledTensor {
  std::string name;
  DType dtype = DType::f32;
  std::string storage;
  int64_t storage_numel = 0;
  int64_t storage_offset = 0;  ///< in elements
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  ///< in elements
};

/// The tensors of a pickled state dict, in the dict's order. `where` names the file in errors.
std::vector<PickledTensor> read_state_dict(std::span<const std::byte> pickle, const std::string& where);

}  // namespace wan::io
