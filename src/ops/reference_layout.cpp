// Rearrangements of the reference back end: each loops over its output or input and applies the index formula.
#include <algorithm>

#include "ops/reference.h"

namespace wan::ops::reference {
namespace {

// f(c, t, h, w) for every element of a [C, T, H, W] shape.
template <class F>
void each(const Shape& s, const F& f) {
  for (int64_t a = 0; a < s[0]; ++a)
    for (int64_t b = 0; b < s[1]; ++b)
      for (int64_t c = 0; c < s[2]; ++c)
        for (int64_t d = 0; d < s[3]; ++d) f(a, b, c, d);
}

double affine(const Tensor& scale, const Tensor& shift, int64_t c, double v) {
  return scale ? v * get(scale, c) + get(shift, c) : v;
}

void patchify_at(const Tensor& x, const PatchifyArgs& a, int64_t first_channel) {
  const int64_t pt = a.patch[0], ph = a.patch[1], pw = a.patch[2];
  const int64_t height = x.dim(2) / ph, width = x.dim(3) / pw;
  each(x.shape, [&](int64_t c, int64_t t, int64_t h, int64_t w) {
    const int64_t token = ((t / pt) * height + h / ph) * width + w / pw;
    set(a.y, get(x, c, t, h, w), token, (((first_channel + c) * pt + t % pt) * ph + h % ph) * pw + w % pw);
  });
}

}  // namespace

void patchify(Context&, const PatchifyArgs& a) {
  patchify_at(a.x, a, 0);
  if (a.extra) patchify_at(a.extra, a, a.x.dim(0));
}

void unpatchify(Context&, const UnpatchifyArgs& a) {
  const int64_t pt = a.patch[0], ph = a.patch[1], pw = a.patch[2];
  const int64_t height = a.y.dim(2) / ph, width = a.y.dim(3) / pw;
  each(a.y.shape, [&](int64_t c, int64_t t, int64_t h, int64_t w) {
    const int64_t token = ((t / pt) * height + h / ph) * width + w / pw;
    set(a.y, get(a.x, token, ((t % pt * ph + h % ph) * pw + w % pw) * a.y.dim(0) + c), c, t, h, w);
  });
}

void interleave_time(Context&, const InterleaveTimeArgs& a) {
  each(a.y.shape, [&](int64_t t, int64_t h, int64_t w, int64_t c) {
    set(a.y, get(a.x, t / 2, h, w, t % 2 * a.y.dim(3) + c), t, h, w, c);
  });
}

void copy_rows(Context&, const CopyRowsArgs& a) {
  each({a.x.dim(0), a.x.dim(1), a.x.dim(2), 1},
       [&](int64_t i, int64_t j, int64_t c, int64_t) { set(a.y, get(a.x, i, j, c), i, j, c); });
}

void to_channels_last(Context&, const ToChannelsLastArgs& a) {
  const int64_t p = a.patch;
  each(a.x.shape, [&](int64_t c, int64_t t, int64_t h, int64_t w) {
    set(a.y, affine(a.scale, a.shift, c, get(a.x, c, t, h, w)), t, h / p, w / p, (c * p + w % p) * p + h % p);
  });
}

void to_planar(Context&, const ToPlanarArgs& a) {
  const int64_t p = a.patch;
  each(a.y.shape, [&](int64_t c, int64_t t, int64_t h, int64_t w) {
    const double v = affine(a.scale, a.shift, c, get(a.x, t, h / p, w / p, (c * p + w % p) * p + h % p));
    set(a.y, a.clamp ? std::clamp(v, -1.0, 1.0) : v, c, t, h, w);
  });
}

void avg_down(Context&, const ResampleShortcutArgs& a) {
  const int64_t ft = a.factor_t, fs = a.factor_s, factor = ft * fs * fs;
  const int64_t group = a.x.dim(3) * factor / a.y.dim(3), missing = a.y.dim(0) * ft - a.x.dim(0);
  each(a.y.shape, [&](int64_t t, int64_t h, int64_t w, int64_t o) {
    double sum = 0;
    for (int64_t g = 0; g < group; ++g) {
      const int64_t entry = o * group + g;  // of (channel, time, height, width)
      const int64_t it = t * ft + entry / (fs * fs) % ft - missing;
      if (it >= 0) sum += get(a.x, it, h * fs + entry / fs % fs, w * fs + entry % fs, entry / factor);
    }
    set(a.y, get(a.y, t, h, w, o) + sum / static_cast<double>(group), t, h, w, o);
  });
}

void dup_up(Context&, const ResampleShortcutArgs& a) {
  const int64_t ft = a.factor_t, fs = a.factor_s;
  const int64_t repeats = a.y.dim(3) * ft * fs * fs / a.x.dim(3);
  each(a.y.shape, [&](int64_t t, int64_t h, int64_t w, int64_t o) {
    const int64_t time = t + a.skip_t, line = h + a.skip_rows;
    const int64_t entry = ((o * ft + time % ft) * fs + line % fs) * fs + w % fs;
    set(a.y, get(a.y, t, h, w, o) + get(a.x, time / ft, line / fs, w / fs, entry / repeats), t, h, w, o);
  });
}

}  // namespace wan::ops::reference
