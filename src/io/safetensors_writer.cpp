#include "io/safetensors_writer.h"

#include <bit>
#include <nlohmann/json.hpp>

#include "core/checked.h"
#include "core/error.h"
#include "io/printable.h"
#include "io/tensor_index.h"

namespace wan::io {
namespace {

using Json = nlohmann::json;

constexpr int64_t length_bytes = 8;

const char* safetensors_name(DType dtype) {
  switch (dtype) {
    case DType::f32: return "F32";
    case DType::bf16: return "BF16";
    case DType::f16: return "F16";
    case DType::f64: return "F64";
    case DType::i64: return "I64";
    case DType::i32: return "I32";
    case DType::u8: return "U8";
  }
  return "?";
}

// JSON that is valid whatever bytes the caller's strings hold.
std::string to_json(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string open_header(const SafetensorsMetadata& metadata) {
  return metadata.empty() ? "{" : R"({"__metadata__":)" + to_json(metadata);
}

void append_tensor(std::string& header, const std::string& name, DType dtype, std::span<const int64_t> shape,
                   int64_t begin, int64_t end) {
  if (header.size() > 1) header += ',';
  header +=
      to_json(name) + fmt::format(R"(:{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", safetensors_name(dtype),
                                  to_json(std::vector(shape.begin(), shape.end())), begin, end);
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, SafetensorsMetadata metadata,
                                     int64_t header_bytes)
    : file_(path), header_bytes_(round_up(header_bytes, 8)), header_(open_header(metadata)) {
  require(header_bytes_ >= static_cast<int64_t>(header_.size()) + 1, ErrorCode::invalid_argument,
          "[{}] the metadata needs {} bytes, the header has room for {}", path.string(), header_.size() + 1,
          header_bytes_);
  const std::string blank(static_cast<size_t>(length_bytes + header_bytes_), ' ');
  file_.write(blank);
}

void SafetensorsWriter::add(const std::string& name, DType dtype, std::span<const int64_t> shape,
                            std::span<const std::byte> data) {
  const std::string where = file_.target().string();
  const auto numel = checked_numel(shape);
  const auto nbytes = numel ? checked_mul(*numel, size_of(dtype)) : std::nullopt;
  require(nbytes == static_cast<int64_t>(data.size()), ErrorCode::invalid_argument,
          "[{}] tensor {}: {} {} does not make {} bytes", where, printable(name), to_string(dtype),
          shape_to_string(shape), data.size());
  require(name != "__metadata__" && names_.insert(name).second, ErrorCode::invalid_argument,
          "[{}] the tensor name {} is taken", where, printable(name));
  const int64_t begin = file_.size() - length_bytes - header_bytes_;
  append_tensor(header_, name, dtype, shape, begin, begin + *nbytes);
  require(static_cast<int64_t>(header_.size()) < header_bytes_, ErrorCode::invalid_argument,
          "[{}] tensor {}: the header has room for {} bytes and is full after {} tensors: write several files", where,
          printable(name), header_bytes_, names_.size() - 1);
  file_.write(data);
}

void SafetensorsWriter::commit() {
  header_ += '}';
  static_assert(std::endian::native == std::endian::little);
  const auto length = static_cast<uint64_t>(header_bytes_);
  file_.write_at(0, std::as_bytes(std::span(&length, 1)));
  file_.write_at(length_bytes, std::as_bytes(std::span(header_)));
  file_.commit();
}

std::string safetensors_header(std::span<const TensorToDescribe> tensors, const SafetensorsMetadata& metadata) {
  std::string header = open_header(metadata);
  int64_t offset = 0;
  for (const TensorToDescribe& t : tensors) {
    append_tensor(header, t.name, t.dtype, t.shape, offset, offset + t.nbytes);
    offset += t.nbytes;
  }
  return header + '}';
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const SafetensorsMetadata& metadata) {
  std::vector<TensorToDescribe> described;
  for (const TensorToWrite& t : tensors)
    described.push_back({t.name, t.dtype, t.shape, static_cast<int64_t>(t.data.size())});
  SafetensorsWriter writer(path, metadata, static_cast<int64_t>(safetensors_header(described, metadata).size()));
  for (const TensorToWrite& t : tensors) writer.add(t.name, t.dtype, t.shape, t.data);
  writer.commit();
}

}  // namespace wan::io
