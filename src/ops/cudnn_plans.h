#pragma once
#include <cuda_runtime_api.h>

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ops/attention_choice.h"

/// cuDNN's graphs behind plain functions. Everything is bf16 with f32 accumulation; other problems are not for cuDNN.
namespace wan::ops::cuda {

/// x [t, h, w, c] channels last, w [o, kt, kh, kw, c]; equal zero padding above and below, left and right; none in
/// time, where the kernel's frames are `dilation_t` apart. With `bias`, b [o] f32 is added before rounding; with
/// `residual`, a tensor like y too.
struct ConvPlanShape {
  std::array<int64_t, 4> x{};
  std::array<int64_t, 5> w{};
  std::array<int64_t, 3> stride{1, 1, 1};
  int64_t pad_h = 0, pad_w = 0;
  int64_t dilation_t = 1;
  bool bias = false;
  bool residual = false;
  auto operator<=>(const ConvPlanShape&) const = default;
};

/// What became of a problem: its workspace, or why cuDNN has nothing for it.
struct CudnnPlan {
  int64_t workspace = 0;
  std::string unsupported;  ///< empty: usable
};

/// Something in the background that ends, at the latest, with what it is just doing.
class InBackground {
 public:
  virtual ~InBackground() = default;
};

/// Plans are made at a problem's first use, or ahead of it in the background, and kept. One thread at a time.
class CudnnPlans {
 public:
  explicit CudnnPlans(cudaStream_t stream);
  ~CudnnPlans();
  CudnnPlans(const CudnnPlans&) = delete;
  CudnnPlans& operator=(const CudnnPlans&) = delete;

  const CudnnPlan& attention(const AttentionShape& shape);
  const CudnnPlan& conv(const ConvPlanShape& shape);
  /// Starts to make these plans in their order, on `threads` threads; must end before this object does. What fails
  /// there fails again, and is reported, when the plan is wanted.
  std::unique_ptr<InBackground> make_ahead(std::vector<ConvPlanShape> shapes, int threads);
  /// For problems whose plan is usable. Throws Error(device).
  void run(const AttentionShape& shape, const void* q, const void* k, const void* v, void* y, void* workspace);
  void run(const ConvPlanShape& shape, const void* x, const void* w, const void* b, const void* residual, void* y,
           void* workspace);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace wan::ops::cuda
