#include "ops/host_copy.h"

namespace wan::ops {
namespace {

// Bytes from the first element to the end of the last.
int64_t extent(const Tensor& t) {
  if (t.numel() == 0) return 0;
  int64_t elements = 1;
  for (int i = 0; i < t.rank(); ++i) elements += (t.dim(i) - 1) * t.stride(i);
  return elements * size_of(t.dtype);
}

}  // namespace

HostCopy::HostCopy(MemoryResource& memory, const Tensor& tensor) : memory_(&memory), original_(tensor), copy_(tensor) {
  if (!tensor || tensor.device.kind == Device::Kind::cpu) return;
  const int64_t bytes = extent(tensor);
  buffer_ = Buffer(host_memory(), bytes);
  copy_.data = buffer_.data();
  copy_.device = {};
  memory.download(buffer_.data(), tensor.data, bytes);
}

void HostCopy::write_back() const {
  if (buffer_.data()) memory_->upload(original_.data, buffer_.data(), extent(original_));
}

}  // namespace wan::ops
