#include "io/tensor_stream.h"

#include <algorithm>

#include "core/checked.h"
#include "core/error.h"
#include "io/convert.h"

namespace wan::io {
namespace {

constexpr int64_t chunk_bytes = int64_t{4} << 20;  // a multiple of every element size

std::vector<TensorCopy> largest_elements_first(std::span<const TensorCopy> tensors) {
  std::vector<TensorCopy> sorted(tensors.begin(), tensors.end());
  std::ranges::stable_sort(sorted, std::ranges::greater(), [](const TensorCopy& t) { return size_of(t.dtype); });
  return sorted;
}

// The length and the header, which ends at a multiple of 8 bytes so that the data are aligned.
std::string head_of(std::span<const TensorCopy> sorted, const SafetensorsMetadata& metadata) {
  std::vector<TensorToDescribe> described;
  for (const TensorCopy& t : sorted) described.push_back({t.name, t.dtype, t.from->shape, t.nbytes()});
  std::string header = safetensors_header(described, metadata);
  header.resize(static_cast<size_t>(round_up(static_cast<int64_t>(header.size()), 8)), ' ');
  const auto length = static_cast<uint64_t>(header.size());
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header;
}

}  // namespace

void stream_tensor(const TensorCopy& tensor, const ByteSink& sink) {
  const TensorEntry& from = *tensor.from;
  require(tensor.dtype == from.dtype || tensor.dtype == DType::bf16, ErrorCode::unsupported,
          "[convert] {} cannot become {}; expected bf16, or the file's own type", to_string(from.dtype),
          to_string(tensor.dtype));
  std::vector<std::byte> in(static_cast<size_t>(std::min(chunk_bytes, from.nbytes)));
  std::vector<bf16> out(tensor.dtype == from.dtype ? 0 : in.size() / static_cast<size_t>(size_of(from.dtype)));
  for (int64_t done = 0; done < from.nbytes;) {
    const int64_t n = std::min(chunk_bytes, from.nbytes - done);
    const std::span<std::byte> piece(in.data(), static_cast<size_t>(n));
    from.file->read(from.offset + done, piece);
    if (tensor.dtype == from.dtype) {
      sink(piece);
    } else {
      const std::span<bf16> converted(out.data(), static_cast<size_t>(n / size_of(from.dtype)));
      convert_to_bf16(from.dtype, piece, converted);
      sink(std::as_bytes(converted));
    }
    done += n;
  }
}

void stream_safetensors(std::span<const TensorCopy> tensors, const SafetensorsMetadata& metadata,
                        const ByteSink& sink) {
  const std::vector<TensorCopy> sorted = largest_elements_first(tensors);
  const std::string head = head_of(sorted, metadata);
  sink(std::as_bytes(std::span(head)));
  for (const TensorCopy& t : sorted) stream_tensor(t, sink);
}

int64_t safetensors_bytes(std::span<const TensorCopy> tensors, const SafetensorsMetadata& metadata) {
  auto bytes = static_cast<int64_t>(head_of(largest_elements_first(tensors), metadata).size());
  for (const TensorCopy& t : tensors) bytes += t.nbytes();
  return bytes;
}

void stream_file(const MappedFile& file, const ByteSink& sink) {
  std::vector<std::byte> buffer(static_cast<size_t>(std::min(chunk_bytes, file.size())));
  for (int64_t at = 0; at < file.size();) {
    const std::span<std::byte> piece(buffer.data(), static_cast<size_t>(std::min(chunk_bytes, file.size() - at)));
    file.read(at, piece);
    sink(piece);
    at += static_cast<int64_t>(piece.size());
  }
}

}  // namespace wan::io
