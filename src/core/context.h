#pragma once
#include <functional>
#include <string_view>

#include "core/memory.h"

namespace wan {

namespace ops {
struct KernelTable;
}
namespace parallel {
class Mesh;
}

/// Called with the name and value of an intermediate, such as "step00.cond"; see --dump.
using TraceTap = std::function<void(std::string_view name, const Tensor& value)>;

/// What every computation gets as its first argument. There is no "current" anything.
struct Context {
  Arena* arena = nullptr;                     ///< scratch on the device
  const ops::KernelTable* kernels = nullptr;  ///< one function pointer per op
  DType compute = DType::f32;                 ///< dtype of matrix work and of the activations that feed it: f32 or bf16
  int threads = 1;                            ///< CPU threads of one kernel
  void* stream = nullptr;                     ///< the device's queue; absent on the CPU
  const parallel::Mesh* mesh = nullptr;       ///< the ranks that share the work; absent for one alone
  TraceTap trace;                             ///< absent unless somebody listens
  std::function<void()> poll;                 ///< called between blocks and chunks of work; throws to stop it

  Device device() const noexcept { return arena->memory().device(); }
  Tensor make(DType dtype, const Shape& shape) { return arena->make(dtype, shape); }
  void check_stop() const {
    if (poll) poll();
  }
  void tap(std::string_view name, const Tensor& value) const {
    if (trace) trace(name, value);
  }
};

}  // namespace wan
