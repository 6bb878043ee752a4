// Norms and element-wise ops of the reference back end.
#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/reference.h"

namespace wan::ops::reference {
namespace {

double gelu(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
double sigmoid_times(double x) { return x / (1 + std::exp(-x)); }

// (x - mean) / sqrt(var + eps) of row i.
std::vector<double> normalized(const Tensor& x, int64_t i, double eps) {
  const int64_t n = x.dim(1);
  std::vector<double> v(static_cast<size_t>(n));
  double mean = 0, variance = 0;
  for (int64_t c = 0; c < n; ++c) mean += (v[static_cast<size_t>(c)] = get(x, i, c)) / static_cast<double>(n);
  for (const double e : v) variance += (e - mean) * (e - mean) / static_cast<double>(n);
  for (double& e : v) e = (e - mean) / std::sqrt(variance + eps);
  return v;
}

double mean_square(const Tensor& x, int64_t i) {
  double sum = 0;
  for (int64_t c = 0; c < x.dim(1); ++c) sum += get(x, i, c) * get(x, i, c);
  return sum / static_cast<double>(x.dim(1));
}

int64_t chosen(const Tensor& rows, int64_t i, int64_t split) { return i < split ? 0 : rows.dim(0) - 1; }

// An element by its number in row-major order; the tensors of element-wise ops are contiguous.
double flat(const Tensor& t, int64_t i) { return value_at(t, i); }

}  // namespace

void norm_modulate(Context&, const NormModulateArgs& a) {
  for (int64_t i = 0; i < a.x.dim(0); ++i) {
    const auto v = normalized(a.x, i, static_cast<double>(a.eps));
    const int64_t r = chosen(a.scale, i, a.split);
    for (int64_t c = 0; c < a.x.dim(1); ++c)
      set(a.y, v[static_cast<size_t>(c)] * (1 + get(a.scale, r, c)) + get(a.shift, r, c), i, c);
  }
}

void layer_norm(Context&, const LayerNormArgs& a) {
  for (int64_t i = 0; i < a.x.dim(0); ++i) {
    const auto v = normalized(a.x, i, static_cast<double>(a.eps));
    for (int64_t c = 0; c < a.x.dim(1); ++c) set(a.y, v[static_cast<size_t>(c)] * get(a.w, c) + get(a.b, c), i, c);
  }
}

void rms_norm(Context&, const RmsNormArgs& a) {
  for (int64_t i = 0; i < a.x.dim(0); ++i) {
    const double root = std::sqrt(mean_square(a.x, i) + static_cast<double>(a.eps));
    for (int64_t c = 0; c < a.x.dim(1); ++c) set(a.y, get(a.x, i, c) / root * get(a.w, c), i, c);
  }
}

void channel_norm(Context&, const ChannelNormArgs& a) {
  const double width = static_cast<double>(a.x.dim(1));
  for (int64_t i = 0; i < a.x.dim(0); ++i) {
    const double length = std::max(std::sqrt(mean_square(a.x, i) * width), 1e-12);
    for (int64_t c = 0; c < a.x.dim(1); ++c) {
      const double v = get(a.x, i, c) / length * std::sqrt(width) * get(a.gamma, c);
      set(a.y, a.silu ? sigmoid_times(v) : v, i, c);
    }
  }
}

void rms_norm_rope(Context&, const RmsNormRopeArgs& a) {
  const int64_t head = a.x.dim(1) / a.heads;
  for (int64_t i = 0; i < a.x.dim(0); ++i) {
    const double root = std::sqrt(mean_square(a.x, i) + static_cast<double>(a.eps));
    const int64_t token = a.first_token + i;
    for (int64_t c = 0; c < a.x.dim(1); c += a.rope ? 2 : 1) {
      const double re = get(a.x, i, c) / root * get(a.w, c);
      if (!a.rope) {
        set(a.x, re, i, c);
        continue;
      }
      const double im = get(a.x, i, c + 1) / root * get(a.w, c + 1);
      const Rope3d& r = *a.rope;
      const int64_t height = r.height.dim(0), width = r.width.dim(0);
      const Tensor* axis = &r.frame;
      int64_t pair = c % head / 2, position = token / (height * width);
      if (pair >= r.frame.dim(1)) {
        pair -= r.frame.dim(1);
        axis = &r.height;
        position = token / width % height;
        if (pair >= r.height.dim(1)) {
          pair -= r.height.dim(1);
          axis = &r.width;
          position = token % width;
        }
      }
      const double cosine = get(*axis, position, pair, 0), sine = get(*axis, position, pair, 1);
      set(a.x, re * cosine - im * sine, i, c);
      set(a.x, re * sine + im * cosine, i, c + 1);
    }
  }
}

void gated_add(Context&, const GatedAddArgs& a) {
  for (int64_t i = 0; i < a.x.dim(0); ++i)
    for (int64_t c = 0; c < a.x.dim(1); ++c)
      set(a.x, get(a.x, i, c) + get(a.y, i, c) * (a.gate ? get(a.gate, chosen(a.gate, i, a.split), c) : 1.0), i, c);
}

void gated_add_norm(Context& ctx, const GatedAddNormArgs& a) {
  gated_add(ctx, {a.x, a.y, a.gate, a.split});
  for (int64_t i = 0; i < a.x.dim(0); ++i) {
    const auto v = normalized(a.x, i, static_cast<double>(a.eps));
    const int64_t r = chosen(a.scale, i, a.split);
    for (int64_t c = 0; c < a.x.dim(1); ++c)
      set(a.z, v[static_cast<size_t>(c)] * (static_cast<double>(a.offset) + get(a.scale, r, c)) + get(a.shift, r, c), i,
          c);
  }
}

void gelu_mul(Context&, const GeluMulArgs& a) {
  for (int64_t i = 0; i < a.a.numel(); ++i) set_at(a.a, i, gelu(flat(a.a, i)) * flat(a.b, i));
}

void silu(Context&, const SiluArgs& a) {
  for (int64_t i = 0; i < a.x.numel(); ++i) set_at(a.y, i, sigmoid_times(flat(a.x, i)));
}

void convert(Context&, const ConvertArgs& a) {
  for (int64_t i = 0; i < a.x.numel(); ++i) set_at(a.y, i, flat(a.x, i));
}

void combine(Context&, const CombineArgs& a) {
  for (size_t s = 0; s < static_cast<size_t>(a.count); ++s) {
    const CombineArgs::Sum& sum = a.sums[s];
    const Tensor& out = a.slot[static_cast<size_t>(sum.out)];
    for (int64_t i = 0; i < out.numel(); ++i) {
      double value = 0;
      for (size_t t = 0; t < static_cast<size_t>(sum.terms); ++t)
        value += sum.coefficient[t] * flat(a.slot[static_cast<size_t>(sum.in[t])], i);
      set_at(out, i, value);
    }
  }
}

void embedding(Context&, const EmbeddingArgs& a) {
  for (int64_t n = 0; n < a.y.dim(0); ++n)
    for (int64_t c = 0; c < a.y.dim(1); ++c) set(a.y, get(a.table, a.ids[static_cast<size_t>(n)], c), n, c);
}

void all_finite(Context&, const AllFiniteArgs& a) {
  *a.result = true;
  for (int64_t i = 0; i < a.x.numel(); ++i) *a.result = *a.result && std::isfinite(flat(a.x, i));
}

}  // namespace wan::ops::reference
