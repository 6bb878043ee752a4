#include "io/tensor_index.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "core/checked.h"
#include "core/error.h"
#include "io/convert.h"
#include "io/printable.h"

namespace wan::io {
namespace {

// Small enough to stay in a core's cache between the read and the conversion; a multiple of every element size.
constexpr int64_t chunk_bytes = 256 * 1024;

template <class Target, class Convert>
void read_converted(const TensorEntry& entry, std::span<Target> out, Convert convert) {
  require(static_cast<int64_t>(out.size()) == entry.numel(), ErrorCode::invalid_argument,
          "[{}] tensor {} has {} elements, the destination has room for {}", entry.file->name(), printable(entry.name),
          entry.numel(), out.size());
  const int64_t element = size_of(entry.dtype);
  const auto chunk =
      std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(std::min(entry.nbytes, chunk_bytes)));
  for (int64_t done = 0; done < entry.nbytes;) {
    const int64_t n = std::min(chunk_bytes, entry.nbytes - done);
    const std::span<std::byte> part(chunk.get(), static_cast<size_t>(n));
    entry.file->read(entry.offset + done, part);
    convert(entry.dtype, part, out.subspan(static_cast<size_t>(done / element), static_cast<size_t>(n / element)));
    done += n;
  }
}

}  // namespace

std::string shape_to_string(std::span<const int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::span<const std::byte> bytes(const TensorEntry& entry) { return entry.file->view(entry.offset, entry.nbytes); }

void read_bytes(const TensorEntry& entry, std::span<std::byte> out) {
  require(static_cast<int64_t>(out.size()) == entry.nbytes, ErrorCode::invalid_argument,
          "[{}] tensor {} has {} bytes, the destination has room for {}", entry.file->name(), printable(entry.name),
          entry.nbytes, out.size());
  entry.file->read(entry.offset, out);
}

void read_as_f32(const TensorEntry& entry, std::span<float> out) {
  if (entry.dtype == DType::f32) return read_bytes(entry, std::as_writable_bytes(out));
  read_converted(entry, out, convert_to_f32);
}

void read_as_bf16(const TensorEntry& entry, std::span<bf16> out) {
  if (entry.dtype == DType::bf16) return read_bytes(entry, std::as_writable_bytes(out));
  read_converted(entry, out, convert_to_bf16);
}

std::vector<float> read_as_f32(const TensorEntry& entry) {
  std::vector<float> out(static_cast<size_t>(entry.numel()));
  read_as_f32(entry, out);
  return out;
}

void TensorIndex::add(TensorEntry entry) {
  const std::string& file = entry.file->name();
  const auto numel = checked_numel(entry.shape);
  const auto nbytes = numel ? checked_mul(*numel, size_of(entry.dtype)) : std::nullopt;
  require(nbytes == entry.nbytes, ErrorCode::bad_file, "[{}] tensor {} at offset {}: {} {} does not make {} bytes",
          file, printable(entry.name), entry.offset, to_string(entry.dtype), shape_to_string(entry.shape),
          entry.nbytes);
  const auto end = checked_add(entry.offset, entry.nbytes);
  require(entry.offset >= 0 && end && *end <= entry.file->size(), ErrorCode::bad_file,
          "[{}] tensor {} lies at bytes {} to {}+{}, the file has {}: fetch it again", file, printable(entry.name),
          entry.offset, entry.offset, entry.nbytes, entry.file->size());
  const auto [place, added] = entries_.try_emplace(entry.name);
  require(added, ErrorCode::bad_file, "[{}] tensor {} occurs twice, first in {}", file, printable(entry.name),
          added ? file : place->second.file->name());
  // Saturates: tensors of a .pth may share bytes, so the sum is not bounded by the files.
  total_bytes_ = checked_add(total_bytes_, entry.nbytes).value_or(INT64_MAX);
  place->second = std::move(entry);
}

void TensorIndex::merge(TensorIndex other) {
  for (auto& [name, entry] : other.entries_) add(std::move(entry));
}

const TensorEntry* TensorIndex::find(std::string_view name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : &it->second;
}

const TensorEntry& TensorIndex::at(std::string_view name) const {
  const TensorEntry* entry = find(name);
  require(entry != nullptr, ErrorCode::bad_file, "[{}] has no tensor {}", label_, printable(name));
  return *entry;
}

}  // namespace wan::io
