#include "engine/dump.h"

#include <vector>

namespace wan::engine {

void Dump::add(std::string_view name, const Tensor& value, MemoryResource& memory) {
  if (!writer_ || !seen_.emplace(name).second) return;
  std::vector<std::byte> bytes(static_cast<size_t>(value.nbytes()));
  if (value.device.kind == Device::Kind::cpu)
    host_memory().download(bytes.data(), value.data, value.nbytes());
  else
    memory.download(bytes.data(), value.data, value.nbytes());
  writer_->add(std::string(name), value.dtype, value.shape.dims(), bytes);
}

void Dump::add_ids(const std::string& name, std::span<const int32_t> ids) {
  if (!writer_ || !seen_.insert(name).second) return;
  const int64_t n = static_cast<int64_t>(ids.size());
  writer_->add(name, DType::i32, std::span(&n, 1), std::as_bytes(ids));
}

}  // namespace wan::engine
