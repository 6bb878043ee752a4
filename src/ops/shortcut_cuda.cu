// VAE 2.2's shortcuts, one thread an element of y, or eight where the channels allow it.
#include "ops/cuda_util.cuh"

namespace wan::ops::cuda {
namespace {

struct Grid {
  int64_t rows, columns, channels;
};

// Channel o of y gains the mean of the `group` consecutive entries of (channel, time, height, width) of the
// neighbourhood; missing frames in front of the clip count as zeros.
template <class T>
struct AvgDown {
  const T* x;
  T* y;
  Grid from, to;
  int64_t ft, fs, group, missing;
  __device__ void operator()(int64_t n) const {
    const int64_t o = n % to.channels, w = n / to.channels % to.columns, h = n / (to.channels * to.columns) % to.rows;
    const int64_t t = n / (to.channels * to.columns * to.rows) * ft - missing;
    float sum = 0;
    for (int64_t e = o * group; e < (o + 1) * group; ++e) {
      const int64_t frame = t + e / (fs * fs) % ft, channel = e / (ft * fs * fs);
      if (frame < 0) continue;
      const int64_t pixel = (frame * from.rows + h * fs + e / fs % fs) * from.columns + w * fs + e % fs;
      sum += load<1>(x + pixel * from.channels + channel).v[0];
    }
    store<1>(y + n, Floats<1>{{load<1>(y + n).v[0] + sum / static_cast<float>(group)}});
  }
};

// Entry (o, time, height, width) of an enlarged pixel is channel (that entry's number) / repeats of the small one.
template <class T>
struct DupUp {
  const T* x;
  T* y;
  Grid from, to;
  int64_t ft, fs, repeats, skip_t, skip_rows;
  __device__ void operator()(int64_t n) const {
    const int64_t o = n % to.channels, w = n / to.channels % to.columns;
    const int64_t h = n / (to.channels * to.columns) % to.rows + skip_rows;
    const int64_t t = n / (to.channels * to.columns * to.rows) + skip_t;
    const int64_t channel = (((o * ft + t % ft) * fs + h % fs) * fs + w % fs) / repeats;
    const int64_t pixel = (t / ft * from.rows + h / fs) * from.columns + w / fs;
    store<1>(y + n, Floats<1>{{load<1>(y + n).v[0] + load<1>(x + pixel * from.channels + channel).v[0]}});
  }
};

// The same for eight channels of y where x has S = 1 or 2 times its channels: entry o of the small pixel's S * o ...
// are the channels of o, `repeats` taps for each.
template <class T, int S>
struct DupUpEights {
  const T* x;
  T* y;
  uint32_t rows, columns, eights;  // of y
  uint32_t small_rows;             // of x
  uint32_t ft, fs, repeats, skip_t, skip_rows;
  __device__ void operator()(int64_t i) const {
    const auto n = static_cast<uint32_t>(i);
    const uint32_t o = n % eights, pixel = n / eights, w = pixel % columns;
    const uint32_t h = pixel / columns % rows + skip_rows, t = pixel / columns / rows + skip_t;
    const uint32_t shift = S == 1 ? 0 : ((t % ft * fs + h % fs) * fs + w % fs) / repeats;
    const int64_t small = (int64_t{t / ft} * small_rows + h / fs) * (columns / fs) + w / fs;
    const T* from = x + (small * eights + o) * (8 * S);
    Floats<8> sum = load<8>(y + i * 8);
    if constexpr (S == 1) {
      const Floats<8> add = load<8>(from);
#pragma unroll
      for (int c = 0; c < 8; ++c) sum.v[c] += add.v[c];
    } else {
      const Floats<8> low = load<8>(from), high = load<8>(from + 8);
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        sum.v[c] += shift == 0 ? low.v[2 * c] : low.v[2 * c + 1];
        sum.v[c + 4] += shift == 0 ? high.v[2 * c] : high.v[2 * c + 1];
      }
    }
    store<8>(y + i * 8, sum);
  }
};

template <class T, int S>
void dup_up_eights(const Context& ctx, const ResampleShortcutArgs& a, uint32_t repeats) {
  const auto u = [](int64_t v) { return static_cast<uint32_t>(v); };
  each(ctx, a.y.numel() / 8,
       DupUpEights<T, S>{at<const T>(a.x), at<T>(a.y), u(a.y.dim(1)), u(a.y.dim(2)), u(a.y.dim(3) / 8), u(a.x.dim(1)),
                         u(a.factor_t), u(a.factor_s), repeats, u(a.skip_t), u(a.skip_rows)});
}

Grid grid_of(const Tensor& t) { return {t.dim(1), t.dim(2), t.dim(3)}; }

}  // namespace

void avg_down(Context& ctx, const ResampleShortcutArgs& a) {
  const int64_t factor = a.factor_t * a.factor_s * a.factor_s;
  with_type(a.x.dtype, [&]<class T>() {
    each(ctx, a.y.numel(),
         AvgDown<T>{at<const T>(a.x), at<T>(a.y), grid_of(a.x), grid_of(a.y), a.factor_t, a.factor_s,
                    a.x.dim(3) * factor / a.y.dim(3), a.y.dim(0) * a.factor_t - a.x.dim(0)});
  });
}

void dup_up(Context& ctx, const ResampleShortcutArgs& a) {
  const int64_t factor = a.factor_t * a.factor_s * a.factor_s;
  const int64_t repeats = a.y.dim(3) * factor / a.x.dim(3);
  const bool eights = a.y.dim(3) % 8 == 0 && aligned(a.x.data) && aligned(a.y.data) && a.y.numel() < int64_t{1} << 34;
  with_type(a.x.dtype, [&]<class T>() {
    if (eights && a.x.dim(3) == a.y.dim(3)) return dup_up_eights<T, 1>(ctx, a, static_cast<uint32_t>(repeats));
    if (eights && a.x.dim(3) == 2 * a.y.dim(3)) return dup_up_eights<T, 2>(ctx, a, static_cast<uint32_t>(repeats));
    each(ctx, a.y.numel(),
         DupUp<T>{at<const T>(a.x), at<T>(a.y), grid_of(a.x), grid_of(a.y), a.factor_t, a.factor_s, repeats, a.skip_t,
                  a.skip_rows});
  });
}

}  // namespace wan::ops::cuda
