#pragma once
// The row loops of one instruction set; see simd.h for what each computes and simd_vector.h for where this may go.
#include "ops/simd_vector.h"

namespace wan::ops::cpu {
namespace {

void widen_row(const bf16* x, float* y, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, widen(x + i));
  for (; i < n; ++i) y[i] = static_cast<float>(x[i]);
}

void narrow_row(const float* x, bf16* y, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) narrow(load(x + i), y + i);
  for (; i < n; ++i) y[i] = bf16(x[i]);
}

// The first pass gives a rounded mean; the second measures from there, so that neither the mean's rounding nor
// a large offset of x costs accuracy.
void normalize_row(const float* x, float* y, int64_t n, float eps, float offset, const float* mul, const float* add) {
  Vec total{};
  each_vector(n, [&](int64_t i, int64_t valid) { total += load_some(x + i, valid); });
  const float rough = sum(total) / static_cast<float>(n);
  Vec first{}, second{};
  each_vector(n, [&](int64_t i, int64_t valid) {
    Vec d = load_some(x + i, valid) - rough;
    if (valid < lanes)
      for (int64_t j = valid; j < lanes; ++j) d[j] = 0.f;
    first += d;
    second += d * d;
  });
  const double rest = static_cast<double>(sum(first)) / static_cast<double>(n);
  const double variance = static_cast<double>(sum(second)) / static_cast<double>(n) - rest * rest;
  const auto shift = static_cast<float>(rest);
  const auto inverse =
      static_cast<float>(1.0 / __builtin_sqrt((variance > 0 ? variance : 0) + static_cast<double>(eps)));
  each_vector(n, [&](int64_t i, int64_t valid) {
    const Vec d = (load_some(x + i, valid) - rough) - shift;
    store_some(y + i, d * inverse * (offset + load_some(mul + i, valid)) + load_some(add + i, valid), valid);
  });
}

double square_sum_row(const float* x, int64_t n) {
  Vec total{};
  each_vector(n, [&](int64_t i, int64_t valid) {
    const Vec v = load_some(x + i, valid);
    total += v * v;
  });
  double s = 0;
  for (int i = 0; i < lanes; ++i) s += static_cast<double>(total[i]);
  return s;
}

void scale_row(const float* x, float* y, int64_t n, float factor, const float* w) {
  each_vector(n, [&](int64_t i, int64_t valid) {
    store_some(y + i, load_some(x + i, valid) * factor * load_some(w + i, valid), valid);
  });
}

void gelu_tanh_row(const float* x, float* y, int64_t n) {
  each_vector(n, [&](int64_t i, int64_t valid) { store_some(y + i, gelu_tanh(load_some(x + i, valid)), valid); });
}

void silu_row(const float* x, float* y, int64_t n) {
  each_vector(n, [&](int64_t i, int64_t valid) { store_some(y + i, silu(load_some(x + i, valid)), valid); });
}

void add_row(float* x, const float* b, int64_t n) {
  each_vector(n, [&](int64_t i, int64_t valid) {
    store_some(x + i, load_some(x + i, valid) + load_some(b + i, valid), valid);
  });
}

void multiply_row(float* x, float factor, int64_t n) {
  each_vector(n, [&](int64_t i, int64_t valid) { store_some(x + i, load_some(x + i, valid) * factor, valid); });
}

void rotate_row(float* x, const float* turns, int64_t pairs) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float re = x[2 * i], im = x[2 * i + 1], c = turns[2 * i], s = turns[2 * i + 1];
    x[2 * i] = re * c - im * s;
    x[2 * i + 1] = re * s + im * c;
  }
}

float softmax_row(float* s, int64_t n, float scale, const float* bias, float* top, float* total) {
  constexpr float lowest = -3.4e38f;
  Vec high = splat(lowest);
  if (bias) {
    each_vector(n, [&](int64_t i, int64_t valid) {
      store_some(s + i, load_some(s + i, valid) * scale + load_some(bias + i, valid), valid);
    });
    scale = 1.f;
  }
  each_vector(n, [&](int64_t i, int64_t valid) {
    Vec v = load_some(s + i, valid) * scale;
    if (valid < lanes)
      for (int64_t j = valid; j < lanes; ++j) v[j] = lowest;
    high = max(high, v);
  });
  const float before = *top, now = largest(high) > before ? largest(high) : before;
  Vec part{};
  each_vector(n, [&](int64_t i, int64_t valid) {
    Vec p = exp(load_some(s + i, valid) * scale - now);
    if (valid < lanes)
      for (int64_t j = valid; j < lanes; ++j) p[j] = 0.f;
    store_some(s + i, p, valid);
    part += p;
  });
  const float shrink = exp(splat(before - now))[0];
  *top = now;
  *total = *total * shrink + sum(part);
  return shrink;
}

}  // namespace
}  // namespace wan::ops::cpu
