#include "core/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace wan {

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape.dims(), ", ")); }

std::string to_string(Device device) {
  switch (device.kind) {
    case Device::Kind::cpu: return "cpu";
    case Device::Kind::cuda: return fmt::format("cuda:{}", device.index);
    case Device::Kind::dry: return "dry";
  }
  return "?";
}

std::string to_string(const Tensor& tensor) {
  if (!tensor) return "absent tensor";
  return fmt::format("{} {} on {}", to_string(tensor.dtype), to_string(tensor.shape), to_string(tensor.device));
}

Tensor::Tensor(void* memory, DType type, const Shape& dims, Device where)
    : data(memory), shape(dims), dtype(type), device(where) {
  int64_t step = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[static_cast<size_t>(i)] = step;
    step *= shape[i];
  }
}

bool Tensor::contiguous() const noexcept {
  int64_t step = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (dim(i) != 1 && stride(i) != step) return false;
    step *= dim(i);
  }
  return true;
}

Tensor Tensor::view(const Shape& dims) const {
  assert(contiguous() && dims.numel() == numel());
  return {data, dtype, dims, device};
}

Tensor Tensor::slice(int dimension, int64_t start, int64_t length) const {
  if (dimension < 0) dimension += rank();
  assert(start >= 0 && length >= 0 && start + length <= dim(dimension));
  Tensor part = *this;
  part.shape[dimension] = length;
  part.data = static_cast<std::byte*>(data) + start * stride(dimension) * size_of(dtype);
  return part;
}

}  // namespace wan
