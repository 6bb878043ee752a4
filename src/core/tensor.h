#pragma once
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/dtype.h"
#include "core/shape.h"

namespace wan {

/// Where memory lives. `dry` is memory that does not exist: the planner's tensors, never dereferenced.
struct Device {
  enum class Kind : uint8_t { cpu, cuda, dry };
  Kind kind = Kind::cpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};
std::string to_string(Device device);

/// A view: pointer, shape, strides (in elements), dtype and device. Trivially copyable; owns nothing.
/// A default-constructed Tensor is "absent": optional arguments (a bias, a history) use it.
struct Tensor {
  void* data = nullptr;
  Shape shape;
  std::array<int64_t, Shape::max_rank> strides{};
  DType dtype = DType::f32;
  Device device;

  Tensor() = default;
  /// A contiguous view of memory that somebody else owns.
  Tensor(void* memory, DType type, const Shape& dims, Device where = {});

  explicit operator bool() const noexcept { return data != nullptr; }
  int rank() const noexcept { return shape.rank(); }
  int64_t dim(int i) const noexcept { return shape[i < 0 ? i + shape.rank() : i]; }
  int64_t stride(int i) const noexcept { return strides[static_cast<size_t>(i < 0 ? i + shape.rank() : i)]; }
  int64_t numel() const noexcept { return shape.numel(); }
  int64_t nbytes() const noexcept { return numel() * size_of(dtype); }
  bool contiguous() const noexcept;

  template <class T>
  T* ptr() const noexcept {
    assert(sizeof(T) == static_cast<size_t>(size_of(dtype)));
    return static_cast<T*>(data);
  }

  /// The same memory under another shape; the tensor must be contiguous and the element count equal.
  Tensor view(const Shape& dims) const;
  /// Elements [start, start + length) of one dimension; no copy.
  Tensor slice(int dimension, int64_t start, int64_t length) const;
};

/// "f32 [2, 3] on cpu"
std::string to_string(const Tensor& tensor);

}  // namespace wan
