#include <algorithm>
#include <cstring>

#include "ops/cpu.h"
#include "ops/cpu_util.h"

namespace wan::ops::cpu {
namespace {

// Copies the channels of one tensor into the token row `out`, one (frame, height, width) patch at a time.
template <class T>
void patch_row(const Tensor& x, const std::array<int64_t, 3>& p, int64_t f, int64_t h, int64_t w, T* out) {
  const auto* in = x.ptr<const float>();
  const int64_t frame = x.dim(2) * x.dim(3);
  for (int64_t c = 0; c < x.dim(0); ++c)
    for (int64_t i = 0; i < p[0]; ++i)
      for (int64_t j = 0; j < p[1]; ++j)
        for (int64_t k = 0; k < p[2]; ++k)
          store(*out++, in[(c * x.dim(1) + f * p[0] + i) * frame + (h * p[1] + j) * x.dim(3) + w * p[2] + k]);
}

float affine(const Tensor& scale, const Tensor& shift, int64_t c, float v) {
  return scale ? v * scale.ptr<const float>()[c] + shift.ptr<const float>()[c] : v;
}

}  // namespace

void patchify(Context& ctx, const PatchifyArgs& a) {
  const auto& p = a.patch;
  const int64_t height = a.x.dim(2) / p[1], width = a.x.dim(3) / p[2];
  const int64_t own = a.x.dim(0) * p[0] * p[1] * p[2];
  with_type(a.y.dtype, [&]<class T>() {
    parallel_for(ctx, a.y.dim(0), a.y.dim(1), [&](int64_t token) {
      const int64_t f = token / (height * width), h = token / width % height, w = token % width;
      T* out = row<T>(a.y, token);
      patch_row(a.x, p, f, h, w, out);
      if (a.extra) patch_row(a.extra, p, f, h, w, out + own);
    });
  });
}

void unpatchify(Context& ctx, const UnpatchifyArgs& a) {
  const auto& p = a.patch;
  const int64_t channels = a.y.dim(0), height = a.y.dim(2) / p[1], width = a.y.dim(3) / p[2];
  auto* out = a.y.ptr<float>();
  parallel_for(ctx, channels * a.y.dim(1), a.y.dim(2) * a.y.dim(3), [&](int64_t plane) {
    const int64_t c = plane / a.y.dim(1), t = plane % a.y.dim(1);
    float* to = out + plane * a.y.dim(2) * a.y.dim(3);
    for (int64_t yy = 0; yy < a.y.dim(2); ++yy)
      for (int64_t xx = 0; xx < a.y.dim(3); ++xx) {
        const int64_t token = ((t / p[0]) * height + yy / p[1]) * width + xx / p[2];
        const int64_t within = ((t % p[0]) * p[1] + yy % p[1]) * p[2] + xx % p[2];
        *to++ = row<const float>(a.x, token)[within * channels + c];
      }
  });
}

void interleave_time(Context& ctx, const InterleaveTimeArgs& a) {
  const int64_t channels = a.y.dim(3), pixels = a.x.dim(1) * a.x.dim(2);
  const int64_t bytes = channels * size_of(a.x.dtype);
  const auto* in = static_cast<const std::byte*>(a.x.data);
  auto* out = static_cast<std::byte*>(a.y.data);
  parallel_for(ctx, a.y.dim(0), pixels * channels, [&](int64_t t) {
    for (int64_t i = 0; i < pixels; ++i)
      std::memcpy(out + (t * pixels + i) * bytes, in + (((t / 2) * pixels + i) * 2 + t % 2) * bytes,
                  static_cast<size_t>(bytes));
  });
}

void copy_rows(Context& ctx, const CopyRowsArgs& a) {
  const int64_t size = size_of(a.x.dtype), bytes = a.x.dim(2) * size;
  const auto row_of = [size](const Tensor& t, int64_t i, int64_t j) {
    return static_cast<std::byte*>(t.data) + (i * t.stride(0) + j * t.stride(1)) * size;
  };
  parallel_for(ctx, a.x.dim(0) * a.x.dim(1), a.x.dim(2), [&](int64_t n) {
    const int64_t i = n / a.x.dim(1), j = n % a.x.dim(1);
    std::memcpy(row_of(a.y, i, j), row_of(a.x, i, j), static_cast<size_t>(bytes));
  });
}

void to_channels_last(Context& ctx, const ToChannelsLastArgs& a) {
  const int64_t p = a.patch, channels = a.x.dim(0), height = a.y.dim(1), width = a.y.dim(2);
  with_type(a.y.dtype, [&]<class T>() {
    parallel_for(ctx, a.y.dim(0) * height, width * channels * p * p, [&](int64_t line) {
      const int64_t t = line / height, h = line % height;
      T* out = a.y.ptr<T>() + line * width * channels * p * p;
      for (int64_t w = 0; w < width; ++w)
        for (int64_t c = 0; c < channels; ++c) {
          const float* frame = a.x.ptr<const float>() + c * a.x.stride(0) + t * a.x.stride(1);
          for (int64_t r = 0; r < p; ++r)
            for (int64_t q = 0; q < p; ++q)
              store(*out++, affine(a.scale, a.shift, c, frame[(h * p + q) * a.x.stride(2) + w * p + r]));
        }
    });
  });
}

void to_planar(Context& ctx, const ToPlanarArgs& a) {
  const int64_t p = a.patch, channels = a.y.dim(0), height = a.x.dim(1), width = a.x.dim(2);
  with_type(a.x.dtype, [&]<class T>() {
    parallel_for(ctx, a.x.dim(0) * height, width * channels * p * p, [&](int64_t line) {
      const int64_t t = line / height, h = line % height;
      const T* in = a.x.ptr<const T>() + line * width * channels * p * p;
      for (int64_t w = 0; w < width; ++w)
        for (int64_t c = 0; c < channels; ++c) {
          float* frame = a.y.ptr<float>() + c * a.y.stride(0) + t * a.y.stride(1);
          for (int64_t r = 0; r < p; ++r)
            for (int64_t q = 0; q < p; ++q) {
              float v = affine(a.scale, a.shift, c, load(*in++));
              if (a.clamp) v = std::clamp(v, -1.f, 1.f);
              frame[(h * p + q) * a.y.stride(2) + w * p + r] = v;
            }
        }
    });
  });
}

}  // namespace wan::ops::cpu
