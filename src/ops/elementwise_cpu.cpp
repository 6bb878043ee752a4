#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "ops/cpu.h"
#include "ops/cpu_util.h"
#include "ops/simd.h"

namespace wan::ops::cpu {
namespace {

// Exact: every f16 value is an f32 value.
float from_f16(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  float v = 0.f;
  if (exponent == 31)
    v = std::bit_cast<float>(0x7f800000u | static_cast<uint32_t>(fraction) << 13);
  else if (exponent == 0)
    v = std::ldexp(static_cast<float>(fraction), -24);
  else
    v = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return bits & 0x8000 ? -v : v;
}

}  // namespace

void gated_add(Context& ctx, const GatedAddArgs& a) {
  const int64_t width = a.x.dim(1);
  with_type(a.x.dtype, [&]<class X>() {
    with_type(a.y.dtype, [&]<class Y>() {
      parallel_ranges(ctx, a.x.dim(0), width, [&](int64_t first, int64_t last, int) {
        for (int64_t i = first; i < last; ++i) {
          X* x = row<X>(a.x, i);
          const Y* y = row<const Y>(a.y, i);
          if (a.gate) {
            const float* gate = modulation_row(a.gate, i, a.split);
            for (int64_t c = 0; c < width; ++c) store(x[c], load(x[c]) + load(y[c]) * gate[c]);
          } else {
            for (int64_t c = 0; c < width; ++c) store(x[c], load(x[c]) + load(y[c]));
          }
        }
      });
    });
  });
}

void gelu_mul(Context& ctx, const GeluMulArgs& a) {
  const Simd& s = simd();
  with_type(a.a.dtype, [&]<class T>() {
    T* to = a.a.ptr<T>();
    const T* by = a.b.ptr<const T>();
    parallel_ranges(ctx, a.a.numel(), 1, [&](int64_t first, int64_t last, int) {
      float line[256];
      for (int64_t i = first; i < last; i += 256) {
        const int64_t n = std::min<int64_t>(256, last - i);
        for (int64_t j = 0; j < n; ++j) line[j] = load(to[i + j]);
        s.gelu_tanh(line, line, n);
        for (int64_t j = 0; j < n; ++j) store(to[i + j], line[j] * load(by[i + j]));
      }
    });
  });
}

void silu(Context& ctx, const SiluArgs& a) {
  const auto* x = a.x.ptr<const float>();
  auto* y = a.y.ptr<float>();
  parallel_ranges(ctx, a.x.numel(), 1,
                  [&](int64_t first, int64_t last, int) { simd().silu(x + first, y + first, last - first); });
}

void convert(Context& ctx, const ConvertArgs& a) {
  const int64_t size = size_of(a.x.dtype);
  parallel_ranges(ctx, a.x.numel(), 1, [&](int64_t first, int64_t last, int) {
    if (a.x.dtype == a.y.dtype)
      std::memcpy(static_cast<std::byte*>(a.y.data) + first * size,
                  static_cast<const std::byte*>(a.x.data) + first * size, static_cast<size_t>((last - first) * size));
    else if (a.x.dtype == DType::bf16)
      simd().widen(a.x.ptr<const bf16>() + first, a.y.ptr<float>() + first, last - first);
    else
      simd().narrow(a.x.ptr<const float>() + first, a.y.ptr<bf16>() + first, last - first);
  });
}

void combine(Context& ctx, const CombineArgs& a) {
  std::array<float*, CombineArgs::max_slots> slot{};
  for (size_t s = 0; s < static_cast<size_t>(a.slots); ++s) slot[s] = a.slot[s].ptr<float>();
  parallel_ranges(ctx, a.slot[0].numel(), 1, [&](int64_t first, int64_t last, int) {
    for (size_t s = 0; s < static_cast<size_t>(a.count); ++s) {
      const CombineArgs::Sum& sum = a.sums[s];
      float* out = slot[static_cast<size_t>(sum.out)];
      for (int64_t i = first; i < last; ++i) {
        double value = 0;
        for (size_t t = 0; t < static_cast<size_t>(sum.terms); ++t)
          value += sum.coefficient[t] * static_cast<double>(slot[static_cast<size_t>(sum.in[t])][i]);
        out[i] = static_cast<float>(value);
      }
    }
  });
}

void embedding(Context& ctx, const EmbeddingArgs& a) {
  const int64_t width = a.table.dim(1);
  parallel_for(ctx, a.y.dim(0), width, [&](int64_t n) {
    const int64_t from = a.ids[static_cast<size_t>(n)] * width;
    float* to = row<float>(a.y, n);
    for (int64_t c = 0; c < width; ++c) {
      switch (a.table.dtype) {
        case DType::bf16: to[c] = load(a.table.ptr<const bf16>()[from + c]); break;
        case DType::f16: to[c] = from_f16(a.table.ptr<const uint16_t>()[from + c]); break;
        default: to[c] = a.table.ptr<const float>()[from + c];
      }
    }
  });
}

void all_finite(Context&, const AllFiniteArgs& a) {
  const auto* x = a.x.ptr<const uint32_t>();
  uint32_t bad = 0;
  for (int64_t i = 0; i < a.x.numel(); ++i) bad |= static_cast<uint32_t>((x[i] & 0x7f800000u) == 0x7f800000u);
  *a.result = bad == 0;
}

}  // namespace wan::ops::cpu
