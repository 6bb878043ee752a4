#pragma once
#include <deque>
#include <vector>

#include "core/context.h"

/// What convolutions in time keep of the frames that they saw (entries of upstream's feat_cache).
namespace wan::models {

/// Rows of a frame that are zero and that nobody writes to.
struct ZeroRows {
  int64_t above = 0, below = 0;
  bool operator==(const ZeroRows&) const = default;
};

/// Memory for the frames of many convolutions. Convolutions with frames of one shape (and the same rows of zeros)
/// share the place of the newest frame, which none needs for longer than its own call, so that each costs little more
/// than its two frames of history.
class FramePools {
 public:
  /// Where one convolution finds its frames: newest [1, H, W, C], history [2, H, W, C] of zeros, both at first; the
  /// three lie at equal distances.
  struct Place {
    Tensor newest, history;
  };
  /// `windows` more places for frames of `shape` [1, H, W, C] will be opened: pools are made for as many.
  void expect(const Shape& shape, int64_t windows, ZeroRows zeros = {});
  /// For frames of `shape`. Memory comes from ctx.arena->memory().
  Place open(Context& ctx, DType dtype, const Shape& shape, ZeroRows zeros = {});
  int64_t bytes() const noexcept;

 private:
  struct Pool {
    OwnedTensor frames;
    ZeroRows zeros;
    int64_t windows;  // places that it has
    int64_t open = 0;
  };
  std::deque<Pool> pools_;
  struct Expected {
    Shape shape;
    ZeroRows zeros;
    int64_t windows;
  };
  std::vector<Expected> expected_;  // places not yet in a pool
};

/// The newest frame and the two before it of a convolution over three frames that gets one at a time.
class FrameWindow {
 public:
  /// Where the caller writes the next frame of `shape` [1, H, W, C]. Whoever shares this memory writes there too: it
  /// must be used at once.
  Tensor next(Context& ctx, FramePools& pools, DType dtype, const Shape& shape, ZeroRows zeros = {});
  /// The two frames before it, [2, H, W, C], and whether the newer one comes first.
  const Tensor& history() const noexcept { return place_.history; }
  bool newest_first() const noexcept { return newest_first_; }
  /// The next frame was used and becomes history.
  void push(Context& ctx);

 private:
  FramePools::Place place_;
  bool newest_first_ = false;
};

/// The last frames that a convolution in time saw, for chunks of any length.
class FrameCache {
 public:
  /// The frames kept, [at most 2, H, W, C]; absent before the first.
  Tensor history() const noexcept { return held_ > 0 ? frames_.tensor.slice(0, 0, held_) : Tensor{}; }
  /// Takes over the last `keep` frames of history and x [T, H, W, C]. Memory comes from ctx.arena->memory(), once.
  void push(Context& ctx, const Tensor& x, int64_t keep = 2);
  int64_t bytes() const noexcept { return frames_.buffer.size(); }

 private:
  OwnedTensor frames_;
  int64_t held_ = 0;
};

}  // namespace wan::models
