#include "ops/cpu.h"
#include "ops/cpu_util.h"

namespace wan::ops::cpu {

// Channel o of y is the mean of the `group` consecutive entries o*group.. of (channel, time, height, width)
// of the neighbourhood; missing frames in front of the clip count as zeros.
void avg_down(Context& ctx, const ResampleShortcutArgs& a) {
  const int64_t ft = a.factor_t, fs = a.factor_s, factor = ft * fs * fs;
  const int64_t in_channels = a.x.dim(3), channels = a.y.dim(3), group = in_channels * factor / channels;
  const int64_t missing = a.y.dim(0) * ft - a.x.dim(0), height = a.y.dim(1), width = a.y.dim(2);
  const int64_t line = a.x.dim(2) * in_channels, frame = a.x.dim(1) * line;
  const auto scope = ctx.arena->scope();
  const Tensor offsets = ctx.make(DType::i64, {channels * group});  // of each entry from the neighbourhood's corner
  const Tensor times = ctx.make(DType::i64, {channels * group});
  auto *offset = offsets.ptr<int64_t>(), *time = times.ptr<int64_t>();
  for (int64_t e = 0; e < channels * group; ++e) {
    time[e] = e / (fs * fs) % ft;
    offset[e] = time[e] * frame + e / fs % fs * line + e % fs * in_channels + e / factor;
  }
  with_type(a.x.dtype, [&]<class T>() {
    parallel_for(ctx, a.y.dim(0) * height, width * channels * group, [&](int64_t i) {
      const int64_t t = i / height * ft - missing;
      const T* x = a.x.ptr<const T>();
      int64_t corner = t * frame + i % height * fs * line;  // in front of the clip where frames are missing
      T* y = a.y.ptr<T>() + i * width * channels;
      for (int64_t w = 0; w < width; ++w, corner += fs * in_channels)
        for (int64_t o = 0, e = 0; o < channels; ++o, ++y) {
          float sum = 0;
          for (int64_t g = 0; g < group; ++g, ++e)
            if (t + time[e] >= 0) sum += load(x[corner + offset[e]]);
          store(*y, load(*y) + sum / static_cast<float>(group));
        }
    });
  });
}

// Entry (o, time, height, width) of an enlarged pixel is channel (that entry's number) / repeats of the small one.
void dup_up(Context& ctx, const ResampleShortcutArgs& a) {
  const int64_t ft = a.factor_t, fs = a.factor_s;
  const int64_t in_channels = a.x.dim(3), channels = a.y.dim(3), repeats = channels * ft * fs * fs / in_channels;
  const int64_t height = a.y.dim(1), width = a.y.dim(2);
  const auto scope = ctx.arena->scope();
  const Tensor sources = ctx.make(DType::i64, {ft * fs * fs, channels});
  for (int64_t within = 0; within < ft * fs * fs; ++within)
    for (int64_t o = 0; o < channels; ++o) row<int64_t>(sources, within)[o] = (o * ft * fs * fs + within) / repeats;
  with_type(a.x.dtype, [&]<class T>() {
    parallel_for(ctx, a.y.dim(0) * height, width * channels, [&](int64_t i) {
      const int64_t t = i / height + a.skip_t, h = i % height + a.skip_rows;
      T* y = a.y.ptr<T>() + i * width * channels;
      for (int64_t w = 0; w < width; ++w, y += channels) {
        const T* x = a.x.ptr<const T>() + ((t / ft * a.x.dim(1) + h / fs) * a.x.dim(2) + w / fs) * in_channels;
        const int64_t* source = row<const int64_t>(sources, (t % ft * fs + h % fs) * fs + w % fs);
        for (int64_t o = 0; o < channels; ++o) store(y[o], load(y[o]) + load(x[source[o]]));
      }
    });
  });
}

}  // namespace wan::ops::cpu
