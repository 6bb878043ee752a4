#pragma once
#include <array>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "core/checked.h"

namespace wan {

/// Up to six dimensions, row-major; rank 0 is a scalar. Trivially copyable.
class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims) {
    assert(dims.size() <= max_rank);
    for (const int64_t d : dims) dims_[static_cast<size_t>(rank_++)] = d;
  }

  int rank() const noexcept { return rank_; }
  int64_t operator[](int i) const noexcept { return dims_[static_cast<size_t>(i)]; }
  int64_t& operator[](int i) noexcept { return dims_[static_cast<size_t>(i)]; }
  std::span<const int64_t> dims() const noexcept { return {dims_.data(), static_cast<size_t>(rank_)}; }
  int64_t back() const noexcept { return dims_[static_cast<size_t>(rank_ - 1)]; }

  /// The number of elements. Shapes are checked where they enter (files, requests), so this only asserts.
  int64_t numel() const noexcept {
    const auto n = checked_numel(dims());
    assert(n);
    return n.value_or(0);
  }

  bool operator==(const Shape& o) const noexcept {
    if (rank_ != o.rank_) return false;
    for (int i = 0; i < rank_; ++i)
      if ((*this)[i] != o[i]) return false;
    return true;
  }

 private:
  std::array<int64_t, max_rank> dims_{};
  int rank_ = 0;
};

/// "[2, 3, 4]"
std::string to_string(const Shape& shape);

}  // namespace wan
