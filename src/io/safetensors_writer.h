#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "io/atomic_file.h"

namespace wan::io {

using SafetensorsMetadata = std::map<std::string, std::string>;

/// Writes a safetensors file tensor by tensor, without holding more than one of them: room for the header is left free
/// at the front and filled by commit() (the format allows trailing spaces in it). The file appears under its name at
/// commit(), complete, or not at all.
class SafetensorsWriter {
 public:
  /// Header room for about 9,000 tensors of ordinary names.
  static constexpr int64_t default_header_bytes = 1 << 20;

  explicit SafetensorsWriter(const std::filesystem::path& path, SafetensorsMetadata metadata = {},
                             int64_t header_bytes = default_header_bytes);

  /// `data` is the row-major tensor; its size must match. Throws invalid_argument for a name that was used already or
  /// when the header room is used up, bad_file when writing fails.
  void add(const std::string& name, DType dtype, std::span<const int64_t> shape, std::span<const std::byte> data);
  void add(const std::string& name, std::span<const int64_t> shape, std::span<const float> data) {
    add(name, DType::f32, shape, std::as_bytes(data));
  }

  /// Call once, as the last thing.
  void commit();

 private:
  AtomicFile file_;
  int64_t header_bytes_;
  std::string header_;  // JSON without its closing brace
  std::set<std::string> names_;
};

/// The JSON header of a file whose tensors follow each other in this order.
struct TensorToDescribe {
  std::string name;
  DType dtype = DType::f32;
  std::span<const int64_t> shape;
  int64_t nbytes = 0;
};
std::string safetensors_header(std::span<const TensorToDescribe> tensors, const SafetensorsMetadata& metadata);

/// One tensor in memory, for write_safetensors.
struct TensorToWrite {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
};

/// Writes a whole file with a header of just the size that it needs.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const SafetensorsMetadata& metadata = {});

}  // namespace wan::io
