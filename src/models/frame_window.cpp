#include "models/frame_window.h"

#include <algorithm>

#include "core/error.h"
#include "ops/elementwise.h"

namespace wan::models {
namespace {

// A GPU's convolution wants its three frames in a row, which two convolutions can have around one newest frame; the CPU
// brings them together anyway.
int64_t most_windows(const Context& ctx) { return ctx.device().kind == Device::Kind::cuda ? 2 : 8; }

// The newest frame's slot is in the middle, two frames for the first window in front of it, two for the second behind;
// every further window has one on either side.
int64_t middle_slot(int64_t windows) { return std::max<int64_t>(windows, 2); }
int64_t slot_count(int64_t windows) { return windows == 1 ? 3 : 2 * windows + 1; }

Tensor history_of(const Tensor& slots, int64_t middle, int64_t window) {
  const int64_t first = window == 0 ? middle - 2 : window == 1 ? middle + 1 : middle - window - 1;
  Tensor history = slots.slice(0, first, 1);
  history.shape[0] = 2;
  history.strides[0] *= window < 2 ? 1 : 2 * (window + 1);
  return history;
}

}  // namespace

void FramePools::expect(const Shape& shape, int64_t windows, ZeroRows zeros) {
  for (Expected& known : expected_)
    if (known.shape == shape && known.zeros == zeros) {
      known.windows += windows;
      return;
    }
  expected_.push_back({shape, zeros, windows});
}

FramePools::Place FramePools::open(Context& ctx, DType dtype, const Shape& shape, ZeroRows zeros) {
  const auto fits = [&](const Pool& p) {
    const Tensor& t = p.frames.tensor;
    return p.open < p.windows && t.dtype == dtype && t.slice(0, 0, 1).shape == shape && p.zeros == zeros;
  };
  auto pool = std::find_if(pools_.begin(), pools_.end(), fits);
  if (pool == pools_.end()) {
    MemoryResource& memory = ctx.arena->memory();
    int64_t windows = 1;
    for (Expected& known : expected_)
      if (known.shape == shape && known.zeros == zeros && known.windows > 0)
        known.windows -= windows = std::min(known.windows, most_windows(ctx));
    Shape all = shape;
    all[0] = slot_count(windows);
    pools_.push_back({OwnedTensor(memory, dtype, all), zeros, windows});
    pool = std::prev(pools_.end());
    memory.fill_zero(pool->frames.tensor.data, pool->frames.tensor.nbytes());
  }
  const Tensor& slots = pool->frames.tensor;
  const int64_t middle = middle_slot(pool->windows);
  return {slots.slice(0, middle, 1), history_of(slots, middle, pool->open++)};
}

int64_t FramePools::bytes() const noexcept {
  int64_t total = 0;
  for (const Pool& p : pools_) total += p.frames.buffer.size();
  return total;
}

Tensor FrameWindow::next(Context& ctx, FramePools& pools, DType dtype, const Shape& shape, ZeroRows zeros) {
  if (!place_.newest) place_ = pools.open(ctx, dtype, shape, zeros);
  require(place_.newest.shape == shape && place_.newest.dtype == dtype, ErrorCode::invalid_argument,
          "[VAE] a frame of {} {} after frames of {}; expected equal ones", to_string(dtype), to_string(shape),
          to_string(place_.newest));
  return place_.newest;
}

void FrameWindow::push(Context& ctx) {
  ops::copy(ctx, place_.newest, place_.history.slice(0, newest_first_ ? 1 : 0, 1));
  newest_first_ = !newest_first_;
}

void FrameCache::push(Context& ctx, const Tensor& x, int64_t keep) {
  if (!frames_.tensor) {
    Shape shape = x.shape;
    shape[0] = keep;
    frames_ = OwnedTensor(ctx.arena->memory(), x.dtype, shape);
  }
  const int64_t fresh = std::min(x.dim(0), keep);
  const int64_t old = std::min(held_, keep - fresh);
  for (int64_t i = 0; i < old; ++i)
    if (held_ > old) ops::copy(ctx, frames_.tensor.slice(0, held_ - old + i, 1), frames_.tensor.slice(0, i, 1));
  ops::copy(ctx, x.slice(0, x.dim(0) - fresh, fresh), frames_.tensor.slice(0, old, fresh));
  held_ = old + fresh;
}

}  // namespace wan::models
