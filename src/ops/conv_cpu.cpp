#include <algorithm>
#include <cstring>

#include "ops/cpu_util.h"
#include "ops/plain_linear.h"

namespace wan::ops::cpu {
namespace {

// The input frame that tap `index` of the virtual sequence (zeros, history, x) means; null for a zero frame.
template <class T>
const T* frame(const ConvArgs& a, int64_t index) {
  const int64_t past = a.past();
  const int64_t zeros = a.time_valid ? 0 : a.w.dim(1) - 1 - past;
  const int64_t size = a.x.dim(1) * a.x.dim(2) * a.x.dim(3);
  if (index < zeros) return nullptr;
  if (index < zeros + past) return a.history.ptr<const T>() + a.past_offset(index - zeros);
  return a.x.ptr<const T>() + (index - zeros - past) * size;
}

// The patch under one output position as a row [KT * KH * KW * C].
template <class T>
void gather(const ConvArgs& a, int64_t t, int64_t h, int64_t w, T* out) {
  const int64_t channels = a.x.dim(3), scale = a.upsample ? 2 : 1;
  const int64_t height = a.x.dim(1) * scale, width = a.x.dim(2) * scale;
  for (int64_t i = 0; i < a.w.dim(1); ++i) {
    const T* in = frame<T>(a, t * a.stride[0] + i);
    for (int64_t j = 0; j < a.w.dim(2); ++j)
      for (int64_t k = 0; k < a.w.dim(3); ++k, out += channels) {
        const int64_t y = h * a.stride[1] + j - a.pad_top, x = w * a.stride[2] + k - a.pad_left;
        if (in && y >= 0 && y < height && x >= 0 && x < width)
          std::copy_n(in + (y / scale * a.x.dim(2) + x / scale) * channels, channels, out);
        else
          std::fill_n(out, channels, T{});
      }
  }
}

}  // namespace

// Output positions in chunks: gather their patches as rows, then one linear layer.
void plain_conv(Context& ctx, const ConvArgs& a, void (*multiply)(Context&, const LinearArgs&)) {
  constexpr int64_t chunk_bytes = 8 << 20;
  const int64_t outputs = a.w.dim(0), row_size = a.w.numel() / outputs;
  const int64_t positions = a.y.numel() / outputs, height = a.y.dim(1), width = a.y.dim(2);
  const int64_t chunk =
      std::clamp<int64_t>(chunk_bytes / (row_size * size_of(a.x.dtype)), 1, std::max<int64_t>(positions, 1));
  const auto scope = ctx.arena->scope();
  const Tensor patches = ctx.make(a.x.dtype, {chunk, row_size});
  const Tensor y = a.y.view({positions, outputs}), w = a.w.view({outputs, row_size});
  for (int64_t first = 0; first < positions; first += chunk) {
    const int64_t n = std::min(chunk, positions - first);
    with_type(a.x.dtype, [&]<class T>() {
      if (is_dry(ctx)) return;
      parallel_for(ctx, n, row_size, [&](int64_t i) {
        const int64_t p = first + i;
        gather(a, p / (height * width), p / width % height, p % width, row<T>(patches, i));
      });
    });
    multiply(ctx, {patches.slice(0, 0, n), w, a.b, y.slice(0, first, n)});
  }
}

}  // namespace wan::ops::cpu
