#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "io/safetensors_writer.h"
#include "io/tensor_index.h"

/// Checkpoint files from the tensors of others, with a few megabytes in memory whatever the size of the tensors.
namespace wan::io {

/// A tensor on its way into another file.
struct TensorCopy {
  std::string name;                   ///< there
  const TensorEntry* from = nullptr;  ///< must outlive the copy
  DType dtype = DType::f32;           ///< there: from->dtype, or bf16 for one of f32, f16 and f64

  int64_t nbytes() const noexcept { return from->numel() * size_of(dtype); }
};

/// Takes a file's bytes in order. May throw to stop.
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// A whole safetensors file. Tensors come in the order of their element sizes, largest first, so that each is aligned
/// to its elements and can be used where it lies. Throws unsupported for a conversion that convert.h does not have,
/// bad_file if a source cannot be read.
void stream_safetensors(std::span<const TensorCopy> tensors, const SafetensorsMetadata& metadata, const ByteSink& sink);
/// The bytes that it gives.
int64_t safetensors_bytes(std::span<const TensorCopy> tensors, const SafetensorsMetadata& metadata);

/// What torch.save writes for a state dict of these tensors (see torch_file.h), data aligned to 64 bytes. Throws as
/// above, and unsupported for a tensor of 4 GiB or more.
void stream_torch_file(std::span<const TensorCopy> tensors, const ByteSink& sink);
/// An upper bound of the bytes that it gives.
int64_t torch_file_bytes(std::span<const TensorCopy> tensors);

/// The tensor's bytes alone.
void stream_tensor(const TensorCopy& tensor, const ByteSink& sink);
/// A whole file as it is.
void stream_file(const MappedFile& file, const ByteSink& sink);

}  // namespace wan::io
