#pragma once
#include <cuda_bf16.h>

#include <cstdint>

#include "core/cuda/check.h"
#include "ops/cuda_kernels.h"
#include "ops/cuda_state.h"

/// Small tools of the CUDA kernels. Device code uses CUDA's bf16; both have the same bits as wan::bf16.
namespace wan::ops::cuda {

using half_t = __nv_bfloat16;

/// N consecutive numbers, in f32 whatever the memory holds. Eight are one or two 16-byte accesses.
template <int N>
struct Floats {
  alignas(N == 8 ? 16 : 4) float v[N];
};

template <int N>
__device__ inline Floats<N> load(const float* p) {
  Floats<N> f;
  if constexpr (N == 8) {
    *reinterpret_cast<float4*>(f.v) = *reinterpret_cast<const float4*>(p);
    *reinterpret_cast<float4*>(f.v + 4) = *reinterpret_cast<const float4*>(p + 4);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) f.v[i] = p[i];
  }
  return f;
}

template <int N>
__device__ inline Floats<N> load(const half_t* p) {
  Floats<N> f;
  if constexpr (N == 8) {
    const uint4 bits = *reinterpret_cast<const uint4*>(p);
    const uint32_t pairs[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      f.v[2 * i] = __uint_as_float(pairs[i] << 16);
      f.v[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) f.v[i] = __bfloat162float(p[i]);
  }
  return f;
}

template <int N>
__device__ inline void store(float* p, const Floats<N>& f) {
  if constexpr (N == 8) {
    *reinterpret_cast<float4*>(p) = make_float4(f.v[0], f.v[1], f.v[2], f.v[3]);
    *reinterpret_cast<float4*>(p + 4) = make_float4(f.v[4], f.v[5], f.v[6], f.v[7]);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) p[i] = f.v[i];
  }
}

template <int N>
__device__ inline void store(half_t* p, const Floats<N>& f) {
  if constexpr (N == 8) {
    uint32_t pairs[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const __nv_bfloat162 pair = __floats2bfloat162_rn(f.v[2 * i], f.v[2 * i + 1]);
      pairs[i] = *reinterpret_cast<const uint32_t*>(&pair);
    }
    *reinterpret_cast<uint4*>(p) = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) p[i] = __float2bfloat16_rn(f.v[i]);
  }
}

// x / (1 + e^-x), and x/2 (1 + tanh u) = x / (1 + e^-2u) with u = sqrt(2/pi) (x + 0.044715 x^3).
__device__ inline float silu_of(float x) { return x / (1.f + expf(-x)); }
__device__ inline float gelu_tanh_of(float x) {
  return x / (1.f + expf(x * (-1.5957691216057308f - 0.07135481282553674f * x * x)));
}
__device__ inline float activate(float x, Activation a) {
  return a == Activation::gelu_tanh ? gelu_tanh_of(x) : a == Activation::silu ? silu_of(x) : x;
}

/// f.template operator()<T>() with T the element type of an f32 or bf16 tensor on the device.
template <class F>
void with_type(DType t, const F& f) {
  if (t == DType::bf16)
    f.template operator()<half_t>();
  else
    f.template operator()<float>();
}

template <class T>
T* at(const Tensor& t) noexcept {
  return static_cast<T*>(t.data);
}

inline bool aligned(const void* p) noexcept { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }
/// Whether rows of `width` elements, `row` apart, can be read 8 at a time.
inline bool by_eights(const void* p, int64_t width, int64_t row) noexcept {
  return aligned(p) && width % 8 == 0 && row % 8 == 0;
}

/// f(i) for i in [0, n), one thread each; f is a functor with a __device__ operator()(int64_t) const.
template <class F>
__global__ void __launch_bounds__(256) each_kernel(int64_t n, F f) {
  const int64_t i = int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (i < n) f(i);
}

template <class F>
void each(const Context& ctx, int64_t n, const F& f) {
  if (n <= 0) return;
  each_kernel<<<static_cast<unsigned>((n + 255) / 256), 256, 0, stream_of(ctx)>>>(n, f);
  wan::cuda::check_launch();
}

}  // namespace wan::ops::cuda
