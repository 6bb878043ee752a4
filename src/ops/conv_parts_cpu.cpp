#include "ops/conv_parts_cpu.h"

#include <algorithm>
#include <cstring>

#include "ops/cpu.h"
#include "ops/cpu_util.h"

namespace wan::ops::cpu {
namespace {

// The rows (or columns) of the 3x3 kernel that small row 0 and 1 of a place see: place 0 sees the pixel before (tap 0)
// and its own (taps 1, 2), place 1 its own (taps 0, 1) and the one after (tap 2).
constexpr int64_t small_tap(int64_t place, int64_t tap) { return place == 0 ? (tap > 0) : (tap > 1); }

// [O, 1, 2, 2, C] from [O, 1, 3, 3, C].
void fold_weights(Context& ctx, const Tensor& w, int64_t py, int64_t px, const Tensor& folded) {
  const int64_t channels = w.dim(4);
  parallel_for(ctx, w.dim(0), 9 * channels, [&](int64_t o) {
    const float* from = row<const float>(w, o);
    float* to = row<float>(folded, o);
    std::fill_n(to, 4 * channels, 0.f);
    for (int64_t j = 0; j < 3; ++j)
      for (int64_t k = 0; k < 3; ++k) {
        float* sum = to + (small_tap(py, j) * 2 + small_tap(px, k)) * channels;
        for (int64_t c = 0; c < channels; ++c) sum[c] += from[(j * 3 + k) * channels + c];
      }
  });
}

// Frames [first, first + n) of a doubling convolution of single frames.
ConvArgs frames_of(const ConvArgs& a, int64_t first, int64_t n) {
  ConvArgs part = a;
  part.x = a.x.slice(0, first, n);
  part.y = a.y.slice(0, first, n);
  return part;
}

}  // namespace

bool can_fold(const ConvArgs& a) noexcept {
  return a.upsample && a.x.dtype == DType::f32 && a.w.dim(1) == 1 && a.w.dim(2) == 3 && a.w.dim(3) == 3 &&
         a.pad_top <= 1 && a.pad_bottom <= 1 && a.pad_left == 1 && a.pad_right == 1 &&
         a.stride == std::array<int64_t, 3>{1, 1, 1};
}

void folded_upsample(Context& ctx, const ConvArgs& a, Conv conv) {
  const int64_t width = a.x.dim(2), outputs = a.w.dim(0), lines = a.y.dim(1);
  const auto scope = ctx.arena->scope();
  const Tensor w = ctx.make(DType::f32, {outputs, 1, 2, 2, a.w.dim(4)});
  for (int64_t place = 0; place < 4; ++place) {
    const auto inner = ctx.arena->scope();
    const int64_t py = place / 2, px = place % 2;
    if (!is_dry(ctx)) fold_weights(ctx, a.w, py, px, w);
    // Without the zeros above, y begins with the first row's place 1; without those below, it ends with the last row's
    // place 0.
    const int64_t above = py == 0 ? a.pad_top : 0, below = py == 1 ? a.pad_bottom : 0;
    const int64_t height = a.x.dim(1) - 1 + above + below, start = py == 0 ? 1 - a.pad_top : a.pad_top;
    if (height == 0) continue;
    const Tensor small = ctx.make(DType::f32, {1, height, width, outputs});
    for (int64_t t = 0; t < a.x.dim(0); ++t) {
      conv(ctx, {.x = a.x.slice(0, t, 1),
                 .w = w,
                 .b = a.b,
                 .y = small,
                 .pad_top = above,
                 .pad_bottom = below,
                 .pad_left = 1 - px,
                 .pad_right = px});
      if (is_dry(ctx)) continue;
      parallel_for(ctx, height, width * outputs, [&](int64_t i) {
        const float* from = small.ptr<const float>() + i * width * outputs;
        float* to = a.y.ptr<float>() + ((t * lines + 2 * i + start) * width * 2 + px) * outputs;
        for (int64_t j = 0; j < width; ++j) std::copy_n(from + j * outputs, outputs, to + 2 * j * outputs);
      });
    }
  }
}

bool with_residual(Context& ctx, const ConvArgs& a, Conv conv) {
  if (!a.residual) return false;
  ConvArgs rest = a;
  rest.residual = {};
  conv(ctx, rest);
  if (is_dry(ctx) || a.y.numel() == 0) return true;
  const Shape rows{a.y.numel() / a.y.dim(3), a.y.dim(3)};
  gated_add(ctx, {a.y.view(rows), a.residual.view(rows), {}, 0});
  return true;
}

bool in_parts(Context& ctx, const ConvArgs& a, Conv conv) {
  const int64_t frames = a.y.dim(0), before = a.w.dim(1) - 1;
  if (a.upsample && before == 0 && a.stride[0] == 1) {
    constexpr int64_t doubled_bytes = 64 << 20;
    const int64_t at_once =
        std::max<int64_t>(doubled_bytes / std::max<int64_t>(4 * a.x.nbytes() / std::max<int64_t>(frames, 1), 1), 1);
    if (at_once >= frames) return false;
    for (int64_t t = 0; t < frames; t += at_once) conv(ctx, frames_of(a, t, std::min(at_once, frames - t)));
    return true;
  }
  if (!a.history || a.upsample || a.time_valid || a.stride[0] != 1 || frames <= before) return false;
  ConvArgs first = a, rest = a;
  first.x = a.x.slice(0, 0, before);
  first.y = a.y.slice(0, 0, before);
  rest.history = {};
  rest.y = a.y.slice(0, before, frames - before);
  rest.time_valid = true;
  conv(ctx, first);
  conv(ctx, rest);
  return true;
}

}  // namespace wan::ops::cpu
