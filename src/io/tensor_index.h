#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "io/mapped_file.h"

namespace wan::io {

/// Where one tensor of a checkpoint lies: `nbytes` contiguous row-major bytes at `offset` of `file`.
struct TensorEntry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  std::shared_ptr<const MappedFile> file;
  int64_t offset = 0;
  int64_t nbytes = 0;

  int64_t numel() const noexcept { return nbytes / size_of(dtype); }
};

/// "[2, 3]"
std::string shape_to_string(std::span<const int64_t> shape);

/// The bytes of a tensor in place. Any alignment (zip archives promise none): copy with memcpy or check before casting.
/// See MappedFile::view about files that are truncated while in use.
std::span<const std::byte> bytes(const TensorEntry& entry);

/// Copies of a tensor, safe against truncation, without a second copy of the whole in memory; thread-safe.
/// out.size() must be the tensor's nbytes, or its number of elements. Conversions: see convert.h.
void read_bytes(const TensorEntry& entry, std::span<std::byte> out);
void read_as_f32(const TensorEntry& entry, std::span<float> out);
void read_as_bf16(const TensorEntry& entry, std::span<bf16> out);
std::vector<float> read_as_f32(const TensorEntry& entry);

/// The tensors of one checkpoint, whatever its format and number of files, by name.
class TensorIndex {
 public:
  using Map = std::map<std::string, TensorEntry, std::less<>>;

  /// `label` names the checkpoint in errors: a file or folder.
  explicit TensorIndex(std::string label = {}) : label_(std::move(label)) {}

  /// Refuses (bad_file) a duplicate name, a shape that does not make nbytes, and bytes outside the file.
  void add(TensorEntry entry);
  /// Takes over all tensors of another index, with the same checks.
  void merge(TensorIndex other);

  /// Null if there is no such tensor.
  const TensorEntry* find(std::string_view name) const;
  /// Throws bad_file if there is no such tensor.
  const TensorEntry& at(std::string_view name) const;

  /// In order of names. Not of a temporary: `for (... : open(path).entries())` would loop over freed memory.
  const Map& entries() const& noexcept { return entries_; }
  const Map& entries() && = delete;
  size_t size() const noexcept { return entries_.size(); }
  int64_t total_bytes() const noexcept { return total_bytes_; }
  const std::string& label() const noexcept { return label_; }

 private:
  std::string label_;
  Map entries_;
  int64_t total_bytes_ = 0;
};

}  // namespace wan::io
