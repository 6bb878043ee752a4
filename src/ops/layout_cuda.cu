// Changes of layout: one thread an element of the result, so that writes are coalesced. All small beside the matrix
// work; only interleave_time and copy_rows move whole feature maps, 16 bytes at a time.
#include "ops/cuda_util.cuh"

namespace wan::ops::cuda {
namespace {

struct Patch {
  int64_t t, h, w;
  __host__ __device__ int64_t volume() const { return t * h * w; }
};

// y[token, (c, i, j, k)] = x[c, f*pt+i, h*ph+j, w*pw+k], channels of `extra` behind those of x.
template <class T>
struct Patchify {
  const float *x, *extra;
  T* y;
  int64_t channels, width, frames, rows, columns;  // of y; of x's grid
  Patch p;
  __device__ void operator()(int64_t n) const {
    const int64_t token = n / width, within = n % width, c = within / p.volume(), tap = within % p.volume();
    const int64_t across = columns / p.w, down = rows / p.h;
    const int64_t f = token / (across * down) * p.t + tap / (p.h * p.w);
    const int64_t h = token / across % down * p.h + tap / p.w % p.h, w = token % across * p.w + tap % p.w;
    const float* from =
        c < channels ? x + c * frames * rows * columns : extra + (c - channels) * frames * rows * columns;
    store<1>(y + n, Floats<1>{{from[(f * rows + h) * columns + w]}});
  }
};

// y[c, f*pt+i, h*ph+j, w*pw+k] = x[token, (i, j, k, c)]
struct Unpatchify {
  const float* x;
  float* y;
  int64_t channels, frames, rows, columns, x_row;
  Patch p;
  __device__ void operator()(int64_t n) const {
    const int64_t w = n % columns, h = n / columns % rows, f = n / (columns * rows) % frames;
    const int64_t c = n / (columns * rows * frames);
    const int64_t token = ((f / p.t) * (rows / p.h) + h / p.h) * (columns / p.w) + w / p.w;
    const int64_t tap = ((f % p.t) * p.h + h % p.h) * p.w + w % p.w;
    y[n] = x[token * x_row + tap * channels + c];
  }
};

// y[2t + i, pixel, c] = x[t, pixel, i*C + c]; V is as much of a pixel as one thread moves.
template <class V>
struct InterleaveTime {
  const V* x;
  V* y;
  int64_t pixels, width;  // of a frame; in units of V
  __device__ void operator()(int64_t n) const {
    const int64_t c = n % width, pixel = n / width % pixels, t = n / (width * pixels);
    y[n] = x[((t / 2 * pixels + pixel) * 2 + t % 2) * width + c];
  }
};

template <class V>
void interleave(const Context& ctx, const InterleaveTimeArgs& a, int64_t width) {
  each(ctx, a.y.dim(0) * a.y.dim(1) * a.y.dim(2) * width,
       InterleaveTime<V>{at<const V>(a.x), at<V>(a.y), a.x.dim(1) * a.x.dim(2), width});
}

// y[i, j, c] = x[i, j, c]; V is as much of a row as one thread moves, strides are in units of V.
template <class V>
struct CopyRows {
  const V* x;
  V* y;
  int64_t rows, width;  // the extents behind the first
  int64_t x_outer, x_row, y_outer, y_row;
  __device__ void operator()(int64_t n) const {
    const int64_t c = n % width, j = n / width % rows, i = n / (width * rows);
    y[i * y_outer + j * y_row + c] = x[i * x_outer + j * x_row + c];
  }
};

template <class V>
void copy_by(const Context& ctx, const CopyRowsArgs& a, int64_t per_v) {
  const int64_t width = a.x.dim(2) / per_v;
  each(ctx, a.x.dim(0) * a.x.dim(1) * width,
       CopyRows<V>{at<const V>(a.x), at<V>(a.y), a.x.dim(1), width, a.x.stride(0) / per_v, a.x.stride(1) / per_v,
                   a.y.stride(0) / per_v, a.y.stride(1) / per_v});
}

// The planar side [C, T, H, W] of the two ops below; channels-last element (t, h, w, (c, r, q)) is its (c, t, h*p + q,
// w*p + r).
struct Planes {
  int64_t channel, frame, line;  // strides
  int64_t p;
  __device__ int64_t offset(int64_t t, int64_t h, int64_t w, int64_t c, int64_t r, int64_t q) const {
    return c * channel + t * frame + (h * p + q) * line + w * p + r;
  }
};

template <class T>
struct ToChannelsLast {
  const float *x, *scale, *shift;
  T* y;
  int64_t rows, columns, width;  // of y
  Planes planes;
  __device__ void operator()(int64_t n) const {
    const int64_t p = planes.p, e = n % width, pixel = n / width, c = e / (p * p);
    float v = x[planes.offset(pixel / (rows * columns), pixel / columns % rows, pixel % columns, c, e / p % p, e % p)];
    if (scale) v = v * scale[c] + shift[c];
    store<1>(y + n, Floats<1>{{v}});
  }
};

template <class T>
struct ToPlanar {
  const T* x;
  const float *scale, *shift;
  float* y;
  int64_t frames, rows, columns, width;  // of x
  Planes planes;
  bool clamp;
  // n runs over the planar side's elements, in order.
  __device__ void operator()(int64_t n) const {
    const int64_t p = planes.p, wide = columns * p, high = rows * p;
    const int64_t xx = n % wide, yy = n / wide % high, t = n / (wide * high) % frames, c = n / (wide * high * frames);
    const int64_t pixel = (t * rows + yy / p) * columns + xx / p, r = xx % p, q = yy % p;
    float v = load<1>(x + pixel * width + (c * p + r) * p + q).v[0];
    if (scale) v = v * scale[c] + shift[c];
    if (clamp) v = fminf(fmaxf(v, -1.f), 1.f);
    y[planes.offset(t, yy / p, xx / p, c, r, q)] = v;
  }
};

Planes planes_of(const Tensor& t, int64_t patch) { return {t.stride(0), t.stride(1), t.stride(2), patch}; }

}  // namespace

void patchify(Context& ctx, const PatchifyArgs& a) {
  with_type(a.y.dtype, [&]<class T>() {
    each(ctx, a.y.numel(),
         Patchify<T>{at<const float>(a.x),
                     at<const float>(a.extra),
                     at<T>(a.y),
                     a.x.dim(0),
                     a.y.dim(1),
                     a.x.dim(1),
                     a.x.dim(2),
                     a.x.dim(3),
                     {a.patch[0], a.patch[1], a.patch[2]}});
  });
}

void unpatchify(Context& ctx, const UnpatchifyArgs& a) {
  each(ctx, a.y.numel(),
       Unpatchify{at<const float>(a.x),
                  at<float>(a.y),
                  a.y.dim(0),
                  a.y.dim(1),
                  a.y.dim(2),
                  a.y.dim(3),
                  a.x.stride(0),
                  {a.patch[0], a.patch[1], a.patch[2]}});
}

void copy_rows(Context& ctx, const CopyRowsArgs& a) {
  const int64_t size = size_of(a.x.dtype), per_16 = 16 / size;
  bool wide = a.x.dim(2) % per_16 == 0;
  for (const Tensor* t : {&a.x, &a.y})
    wide = wide && aligned(t->data) && t->stride(0) % per_16 == 0 && t->stride(1) % per_16 == 0;
  if (wide)
    copy_by<uint4>(ctx, a, per_16);
  else if (size == 4)
    copy_by<uint32_t>(ctx, a, 1);
  else
    copy_by<uint16_t>(ctx, a, 1);
}

void interleave_time(Context& ctx, const InterleaveTimeArgs& a) {
  const int64_t bytes = a.y.dim(3) * size_of(a.y.dtype);
  if (bytes % 16 == 0 && aligned(a.x.data) && aligned(a.y.data))
    interleave<uint4>(ctx, a, bytes / 16);
  else
    interleave<uint16_t>(ctx, a, bytes / 2);
}

void to_channels_last(Context& ctx, const ToChannelsLastArgs& a) {
  with_type(a.y.dtype, [&]<class T>() {
    each(ctx, a.y.numel(),
         ToChannelsLast<T>{at<const float>(a.x), at<const float>(a.scale), at<const float>(a.shift), at<T>(a.y),
                           a.y.dim(1), a.y.dim(2), a.y.dim(3), planes_of(a.x, a.patch)});
  });
}

void to_planar(Context& ctx, const ToPlanarArgs& a) {
  with_type(a.x.dtype, [&]<class T>() {
    each(ctx, a.x.numel(),
         ToPlanar<T>{at<const T>(a.x), at<const float>(a.scale), at<const float>(a.shift), at<float>(a.y), a.x.dim(0),
                     a.x.dim(1), a.x.dim(2), a.x.dim(3), planes_of(a.y, a.patch), a.clamp});
  });
}

}  // namespace wan::ops::cuda
