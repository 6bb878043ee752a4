#include <algorithm>
#include <cmath>

#include "ops/activation.h"
#include "ops/cpu.h"
#include "ops/cpu_util.h"

namespace wan::ops::cpu {
namespace {

template <class T>
double square_sum(const T* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(load(x[i])) * static_cast<double>(load(x[i]));
  return sum;
}

struct Moments {
  float mean, inverse_deviation;
};

Moments moments(const float* x, int64_t n, float eps) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
  const double mean = sum / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(x[i]) - mean;
    squares += d * d;
  }
  return {static_cast<float>(mean),
          static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(eps)))};
}

float inverse_rms(double squares, int64_t n, float eps) {
  return static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(eps)));
}

// Rotates the pairs of one head by the angles of one axis.
template <class T>
T* rotate(T* x, const Tensor& table, int64_t position) {
  const float* angle = row<const float>(table, position);
  for (int64_t i = 0; i < table.dim(1); ++i, x += 2) {
    const float re = load(x[0]), im = load(x[1]), c = angle[2 * i], s = angle[2 * i + 1];
    store(x[0], re * c - im * s);
    store(x[1], re * s + im * c);
  }
  return x;
}

}  // namespace

void norm_modulate(Context& ctx, const NormModulateArgs& a) {
  with_type(a.y.dtype, [&]<class Y>() {
    parallel_for(ctx, a.x.dim(0), [&](int64_t i) {
      const float *x = row<const float>(a.x, i), *scale = modulation_row(a.scale, i, a.split),
                  *shift = modulation_row(a.shift, i, a.split);
      Y* y = row<Y>(a.y, i);
      const auto [mean, inverse] = moments(x, a.x.dim(1), a.eps);
      for (int64_t c = 0; c < a.x.dim(1); ++c) store(y[c], (x[c] - mean) * inverse * (1.f + scale[c]) + shift[c]);
    });
  });
}

void layer_norm(Context& ctx, const LayerNormArgs& a) {
  const float *w = a.w.ptr<const float>(), *b = a.b.ptr<const float>();
  with_type(a.y.dtype, [&]<class Y>() {
    parallel_for(ctx, a.x.dim(0), [&](int64_t i) {
      const float* x = row<const float>(a.x, i);
      Y* y = row<Y>(a.y, i);
      const auto [mean, inverse] = moments(x, a.x.dim(1), a.eps);
      for (int64_t c = 0; c < a.x.dim(1); ++c) store(y[c], (x[c] - mean) * inverse * w[c] + b[c]);
    });
  });
}

void rms_norm(Context& ctx, const RmsNormArgs& a) {
  const float* w = a.w.ptr<const float>();
  with_type(a.y.dtype, [&]<class Y>() {
    parallel_for(ctx, a.x.dim(0), [&](int64_t i) {
      const float* x = row<const float>(a.x, i);
      Y* y = row<Y>(a.y, i);
      const float inverse = inverse_rms(square_sum(x, a.x.dim(1)), a.x.dim(1), a.eps);
      for (int64_t c = 0; c < a.x.dim(1); ++c) store(y[c], x[c] * inverse * w[c]);
    });
  });
}

void channel_norm(Context& ctx, const ChannelNormArgs& a) {
  const int64_t width = a.x.dim(1);
  const float* gamma = a.gamma.ptr<const float>();
  with_type(a.x.dtype, [&]<class T>() {
    parallel_for(ctx, a.x.dim(0), [&](int64_t i) {
      const T* x = row<const T>(a.x, i);
      T* y = row<T>(a.y, i);
      const double length = std::max(std::sqrt(square_sum(x, width)), 1e-12);
      const float factor = static_cast<float>(std::sqrt(static_cast<double>(width)) / length);
      for (int64_t c = 0; c < width; ++c) {
        const float v = load(x[c]) * factor * gamma[c];
        store(y[c], a.silu ? cpu::silu(v) : v);
      }
    });
  });
}

void rms_norm_rope(Context& ctx, const RmsNormRopeArgs& a) {
  const int64_t width = a.x.dim(1), head = width / a.heads;
  const float* w = a.w.ptr<const float>();
  with_type(a.x.dtype, [&]<class T>() {
    parallel_for(ctx, a.x.dim(0), [&](int64_t i) {
      T* x = row<T>(a.x, i);
      const float inverse = inverse_rms(square_sum(x, width), width, a.eps);
      for (int64_t c = 0; c < width; ++c) store(x[c], load(x[c]) * inverse * w[c]);
      if (!a.rope) return;
      const int64_t token = a.first_token + i;
      const int64_t hw = a.rope->height.dim(0) * a.rope->width.dim(0);
      for (int64_t h = 0; h < a.heads; ++h) {
        T* at = x + h * head;
        at = rotate(at, a.rope->frame, token / hw);
        at = rotate(at, a.rope->height, token / a.rope->width.dim(0) % a.rope->height.dim(0));
        rotate(at, a.rope->width, token % a.rope->width.dim(0));
      }
    });
  });
}

}  // namespace wan::ops::cpu
