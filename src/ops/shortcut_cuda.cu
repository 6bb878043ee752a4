// VAE 2.2's shortcuts, one thread an element of y.
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
  int64_t ft, fs, repeats, dropped;
  __device__ void operator()(int64_t n) const {
    const int64_t o = n % to.channels, w = n / to.channels % to.columns, h = n / (to.channels * to.columns) % to.rows;
    const int64_t t = n / (to.channels * to.columns * to.rows) + dropped;
    const int64_t channel = (((o * ft + t % ft) * fs + h % fs) * fs + w % fs) / repeats;
    const int64_t pixel = (t / ft * from.rows + h / fs) * from.columns + w / fs;
    store<1>(y + n, Floats<1>{{load<1>(y + n).v[0] + load<1>(x + pixel * from.channels + channel).v[0]}});
  }
};

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
  with_type(a.x.dtype, [&]<class T>() {
    each(ctx, a.y.numel(),
         DupUp<T>{at<const T>(a.x), at<T>(a.y), grid_of(a.x), grid_of(a.y), a.factor_t, a.factor_s,
                  a.y.dim(3) * factor / a.x.dim(3), a.first_chunk ? a.factor_t - 1 : 0});
  });
}

}  // namespace wan::ops::cuda
