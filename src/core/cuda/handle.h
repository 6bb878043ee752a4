#pragma once
#include <utility>

namespace wan::cuda {

/// Owns a handle of a C library; Destroy(handle) is called once and its status ignored, since a destructor must not
/// throw.
template <class T, auto Destroy>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T value) noexcept : value_(value) {}
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, T{})) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (value_) (void)Destroy(value_);
  }
  T get() const noexcept { return value_; }

 private:
  T value_{};
};

}  // namespace wan::cuda
