#pragma once
#include "core/memory.h"

namespace wan::ops {

/// A tensor's values on the host, under the same strides; the tensor itself if it is there already. For comparing and
/// testing, not for speed.
class HostCopy {
 public:
  /// `memory` is where the tensor lives; keep it alive. An absent tensor gives an absent one.
  HostCopy(MemoryResource& memory, const Tensor& tensor);
  const Tensor& tensor() const noexcept { return copy_; }
  /// Makes the original equal to the copy.
  void write_back() const;

 private:
  MemoryResource* memory_;
  Tensor original_, copy_;
  Buffer buffer_;
};

}  // namespace wan::ops
