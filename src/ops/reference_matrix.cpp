// Linear layers, attention and convolution of the reference back end.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ops/reference.h"

namespace wan::ops::reference {
namespace {

double activate(Activation kind, double x) {
  switch (kind) {
    case Activation::none: return x;
    case Activation::gelu_tanh: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Activation::silu: return x / (1 + std::exp(-x));
  }
  return x;
}

// Pixel (y, x) of frame t of the virtual clip (zero frames, history, x) after doubling; zero outside of it.
double pixel(const ConvArgs& a, int64_t t, int64_t y, int64_t x, int64_t c) {
  const int64_t past = a.past();
  const int64_t zeros = a.time_valid ? 0 : a.w.dim(1) - 1 - past;
  const int64_t scale = a.upsample ? 2 : 1;
  if (t < zeros || y < 0 || x < 0 || y >= a.x.dim(1) * scale || x >= a.x.dim(2) * scale) return 0;
  if (t < zeros + past)
    return value_at(a.history, a.past_offset(t - zeros) + offset(a.history, 0, y / scale, x / scale, c));
  return get(a.x, t - zeros - past, y / scale, x / scale, c);
}

}  // namespace

void linear(Context&, const LinearArgs& a) {
  for (int64_t i = 0; i < a.x.dim(0); ++i)
    for (int64_t j = 0; j < a.w.dim(0); ++j) {
      double sum = 0;
      for (int64_t k = 0; k < a.x.dim(1); ++k) sum += get(a.x, i, k) * get(a.w, j, k);
      set(a.y, activate(a.activation, sum + (a.b ? get(a.b, j) : 0.0)), i, j);
    }
}

void attention(Context&, const AttentionArgs& a) {
  const int64_t lq = a.q.dim(0), lk = a.k.dim(0);
  std::vector<double> p(static_cast<size_t>(lk));
  for (int64_t h = 0; h < a.q.dim(1); ++h)
    for (int64_t i = 0; i < lq; ++i) {
      double top = -std::numeric_limits<double>::infinity(), total = 0;
      for (int64_t j = 0; j < lk; ++j) {
        double score = 0;
        for (int64_t c = 0; c < a.q.dim(2); ++c) score += get(a.q, i, h, c) * get(a.k, j, h, c);
        score = score * static_cast<double>(a.scale) + (a.rel_bias ? get(a.rel_bias, h, j - i + lq - 1) : 0.0);
        p[static_cast<size_t>(j)] = score;
        top = std::max(top, score);
      }
      for (double& e : p) total += (e = std::exp(e - top));
      for (int64_t c = 0; c < a.q.dim(2); ++c) {
        double sum = 0;
        for (int64_t j = 0; j < lk; ++j) sum += p[static_cast<size_t>(j)] * get(a.v, j, h, c);
        set(a.y, sum / total, i, h, c);
      }
    }
}

void conv(Context&, const ConvArgs& a) {
  for (int64_t t = 0; t < a.y.dim(0); ++t)
    for (int64_t y = 0; y < a.y.dim(1); ++y)
      for (int64_t x = 0; x < a.y.dim(2); ++x)
        for (int64_t o = 0; o < a.y.dim(3); ++o) {
          double sum = (a.b ? get(a.b, o) : 0.0) + (a.residual ? get(a.residual, t, y, x, o) : 0.0);
          for (int64_t i = 0; i < a.w.dim(1); ++i)
            for (int64_t j = 0; j < a.w.dim(2); ++j)
              for (int64_t k = 0; k < a.w.dim(3); ++k)
                for (int64_t c = 0; c < a.w.dim(4); ++c)
                  sum += get(a.w, o, i, j, k, c) * pixel(a, t * a.stride[0] + i, y * a.stride[1] + j - a.pad_top,
                                                         x * a.stride[2] + k - a.pad_left, c);
          set(a.y, sum, t, y, x, o);
        }
}

}  // namespace wan::ops::reference
