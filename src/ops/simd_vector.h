#pragma once
// Vectors of WAN_SIMD_LANES floats and their functions. Included by simd_<instruction set>.cpp only: each of them
// is compiled with its own flags, so nothing here may leave its anonymous namespace (or use templates of std).
#include <cstdint>

#include "core/dtype.h"

namespace wan::ops::cpu {
namespace {

constexpr int lanes = WAN_SIMD_LANES;
using Vec [[gnu::vector_size(lanes * 4)]] = float;
using IntVec [[gnu::vector_size(lanes * 4)]] = int32_t;
using UintVec [[gnu::vector_size(lanes * 4)]] = uint32_t;
using HalfVec [[gnu::vector_size(lanes * 2)]] = uint16_t;

inline Vec load(const float* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, Vec v) { __builtin_memcpy(p, &v, sizeof v); }
inline Vec load_part(const float* p, int64_t n) {
  Vec v{};
  __builtin_memcpy(&v, p, static_cast<size_t>(n) * 4);
  return v;
}
inline void store_part(float* p, Vec v, int64_t n) { __builtin_memcpy(p, &v, static_cast<size_t>(n) * 4); }

inline Vec splat(float x) { return x - Vec{}; }
inline Vec min(Vec a, Vec b) { return a < b ? a : b; }
inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
inline float sum(Vec v) {
  float s = 0;
  for (int i = 0; i < lanes; ++i) s += v[i];
  return s;
}
inline float largest(Vec v) {
  float m = v[0];
  for (int i = 1; i < lanes; ++i) m = v[i] > m ? v[i] : m;
  return m;
}

// f(index, valid lanes) for each vector of a row.
template <class F>
inline void each_vector(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) f(i, int64_t{lanes});
  if (i < n) f(i, n - i);
}
inline Vec load_some(const float* p, int64_t valid) { return valid == lanes ? load(p) : load_part(p, valid); }
inline void store_some(float* p, Vec v, int64_t valid) {
  if (valid == lanes)
    store(p, v);
  else
    store_part(p, v, valid);
}

// e^x to about 1e-7 relative, for x in [-87.3, 88.3], clamped outside: x = n ln 2 + r, e^r by a polynomial (Cephes'
// expf).
inline Vec exp(Vec x) {
  x = min(max(x, splat(-87.3f)), splat(88.3f));
  const Vec n = (x * 1.44269504088896341f + 12582912.f) - 12582912.f;  // to the nearest whole number
  const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
  const IntVec power = (__builtin_convertvector(n, IntVec) + 127) << 23;
  return p * reinterpret_cast<Vec>(power);
}

inline Vec silu(Vec x) { return x / (1.f + exp(-x)); }
// x/2 (1 + tanh u) = x / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x^3)
inline Vec gelu_tanh(Vec x) { return x / (1.f + exp(x * (-1.5957691216057308f - 0.07135481282553674f * x * x))); }

inline Vec widen(const bf16* x) {
  HalfVec h;
  __builtin_memcpy(&h, x, sizeof h);
  const UintVec u = __builtin_convertvector(h, UintVec) << 16;
  return reinterpret_cast<Vec>(u);
}
// Round to nearest even; NaN stays NaN.
inline void narrow(Vec v, bf16* y) {
  const UintVec u = reinterpret_cast<UintVec>(v);
  const UintVec rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const UintVec quiet = (u >> 16) | 0x40u;
  const HalfVec h = __builtin_convertvector((u & 0x7fffffffu) > 0x7f800000u ? quiet : rounded, HalfVec);
  __builtin_memcpy(static_cast<void*>(y), &h, sizeof h);
}

}  // namespace
}  // namespace wan::ops::cpu
