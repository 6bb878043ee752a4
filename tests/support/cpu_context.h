#pragma once
#include <cstring>
#include <vector>

#include "core/context.h"
#include "ops/kernels.h"

namespace wan::test {

/// A CPU context with its own arena.
struct CpuContext {
  explicit CpuContext(DType compute = DType::f32, int threads = 2) : arena(host_memory()) {
    ctx.arena = &arena;
    ctx.kernels = &ops::cpu_kernels();
    ctx.compute = compute;
    ctx.threads = threads;
  }
  CpuContext(const CpuContext&) = delete;
  CpuContext& operator=(const CpuContext&) = delete;

  /// A tensor in the arena with these values.
  Tensor from(const std::vector<float>& values, const Shape& shape) {
    Tensor t = ctx.make(DType::f32, shape);
    std::memcpy(t.data, values.data(), values.size() * sizeof(float));
    return t;
  }

  Arena arena;
  Context ctx;
};

/// The values of a contiguous f32 tensor.
inline std::vector<float> values(const Tensor& t) { return {t.ptr<float>(), t.ptr<float>() + t.numel()}; }

}  // namespace wan::test
