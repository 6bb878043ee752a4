#include "ops/cpu.h"
#include "ops/cpu_util.h"

namespace wan::ops::cpu {

// Channel o of y is the mean of the `group` consecutive entries o*group.. of (channel, time, height, width)
// of the neighbourhood; missing frames in front of the clip count as zeros.
void avg_down(Context& ctx, const ResampleShortcutArgs& a) {
  const int64_t ft = a.factor_t, fs = a.factor_s, factor = ft * fs * fs;
  const int64_t in_channels = a.x.dim(3), channels = a.y.dim(3), group = in_channels * factor / channels;
  const int64_t missing = a.y.dim(0) * ft - a.x.dim(0), height = a.y.dim(1), width = a.y.dim(2);
  with_type(a.x.dtype, [&]<class T>() {
    parallel_for(ctx, a.y.dim(0) * height, [&](int64_t line) {
      const int64_t t = line / height, h = line % height;
      T* y = a.y.ptr<T>() + line * width * channels;
      for (int64_t w = 0; w < width; ++w)
        for (int64_t o = 0; o < channels; ++o, ++y) {
          float sum = 0;
          for (int64_t e = o * group; e < (o + 1) * group; ++e) {
            const int64_t it = t * ft + e / (fs * fs) % ft - missing;
            if (it < 0) continue;
            const int64_t ih = h * fs + e / fs % fs, iw = w * fs + e % fs;
            sum += load(a.x.ptr<const T>()[((it * a.x.dim(1) + ih) * a.x.dim(2) + iw) * in_channels + e / factor]);
          }
          store(*y, load(*y) + sum / static_cast<float>(group));
        }
    });
  });
}

// Entry (o, time, height, width) of an enlarged pixel is channel (that entry's number) / repeats of the small one.
void dup_up(Context& ctx, const ResampleShortcutArgs& a) {
  const int64_t ft = a.factor_t, fs = a.factor_s;
  const int64_t in_channels = a.x.dim(3), channels = a.y.dim(3), repeats = channels * ft * fs * fs / in_channels;
  const int64_t dropped = a.first_chunk ? ft - 1 : 0, height = a.y.dim(1), width = a.y.dim(2);
  with_type(a.x.dtype, [&]<class T>() {
    parallel_for(ctx, a.y.dim(0) * height, [&](int64_t line) {
      const int64_t t = line / height + dropped, h = line % height;
      T* y = a.y.ptr<T>() + line * width * channels;
      for (int64_t w = 0; w < width; ++w) {
        const T* x = a.x.ptr<const T>() + ((t / ft * a.x.dim(1) + h / fs) * a.x.dim(2) + w / fs) * in_channels;
        for (int64_t o = 0; o < channels; ++o, ++y)
          store(*y, load(*y) + load(x[(((o * ft + t % ft) * fs + h % fs) * fs + w % fs) / repeats]));
      }
    });
  });
}

}  // namespace wan::ops::cpu
