#include <cuda_fp16.h>

#include <algorithm>

#include "core/memory.h"
#include "ops/cuda_util.cuh"

namespace wan::ops::cuda {
namespace {

// x += y * gate; row i of gate as in norm_modulate.
template <int N, class X, class Y>
struct GatedAdd {
  X* x;
  const Y* y;
  const float* gate;
  int64_t vectors, width, x_row, y_row, split, last_gate;  // vectors in a row
  __device__ void operator()(int64_t i) const {
    const int64_t row = i / vectors, column = i % vectors * N;
    auto sum = load<N>(x + row * x_row + column);
    const auto more = load<N>(y + row * y_row + column);
    if (gate) {
      const auto g = load<N>(gate + (row < split ? 0 : last_gate) + column);
#pragma unroll
      for (int j = 0; j < N; ++j) sum.v[j] += more.v[j] * g.v[j];
    } else {
#pragma unroll
      for (int j = 0; j < N; ++j) sum.v[j] += more.v[j];
    }
    store<N>(x + row * x_row + column, sum);
  }
};

// y = f(x), N at a time.
template <int N, class X, class Y, class F>
struct Map {
  const X* x;
  Y* y;
  F f;
  __device__ void operator()(int64_t i) const {
    auto values = load<N>(x + i * N);
#pragma unroll
    for (int j = 0; j < N; ++j) values.v[j] = f(values.v[j]);
    store<N>(y + i * N, values);
  }
};

struct Same {
  __device__ float operator()(float x) const { return x; }
};
struct Silu {
  __device__ float operator()(float x) const { return silu_of(x); }
};

template <class X, class Y, class F>
void map(const Context& ctx, const Tensor& x, const Tensor& y, const F& f) {
  const int64_t n = x.numel();
  if (n % 8 == 0 && aligned(x.data) && aligned(y.data))
    each(ctx, n / 8, Map<8, X, Y, F>{at<const X>(x), at<Y>(y), f});
  else
    each(ctx, n, Map<1, X, Y, F>{at<const X>(x), at<Y>(y), f});
}

// a = gelu_tanh(a) * b
template <int N, class T>
struct GeluMul {
  T* a;
  const T* b;
  __device__ void operator()(int64_t i) const {
    auto values = load<N>(a + i * N);
    const auto by = load<N>(b + i * N);
#pragma unroll
    for (int j = 0; j < N; ++j) values.v[j] = gelu_tanh_of(values.v[j]) * by.v[j];
    store<N>(a + i * N, values);
  }
};

// The sums one after the other, in f64 without fused operations: what the CPU computes, bit for bit. A thread reads
// back what it has just written itself.
struct Combine {
  struct Sum {
    int out, terms;
    int in[CombineArgs::max_terms];
    double coefficient[CombineArgs::max_terms];
  };
  float* slot[CombineArgs::max_slots];
  Sum sums[CombineArgs::max_sums];
  int count;
  __device__ void operator()(int64_t i) const {
    for (int s = 0; s < count; ++s) {
      double value = 0;
      for (int t = 0; t < sums[s].terms; ++t)
        value = __dadd_rn(value, __dmul_rn(sums[s].coefficient[t], static_cast<double>(slot[sums[s].in[t]][i])));
      slot[sums[s].out][i] = static_cast<float>(value);
    }
  }
};

__device__ float widen(float x) { return x; }
__device__ float widen(half_t x) { return __bfloat162float(x); }
__device__ float widen(__half x) { return __half2float(x); }

// y[n] = table[ids[n]]
template <class T>
struct Embedding {
  const T* table;
  const int32_t* ids;
  float* y;
  int64_t width;
  __device__ void operator()(int64_t i) const { y[i] = widen(table[ids[i / width] * width + i % width]); }
};

template <class T>
void embed(const Context& ctx, const EmbeddingArgs& a, const Tensor& ids) {
  each(ctx, a.y.numel(), Embedding<T>{at<const T>(a.table), at<const int32_t>(ids), at<float>(a.y), a.table.dim(1)});
}

// *bad = 1 if an element is not finite.
struct FindBad {
  const uint32_t* x;
  int* bad;
  __device__ void operator()(int64_t i) const {
    if ((x[i] & 0x7f800000u) == 0x7f800000u) *bad = 1;
  }
};

template <int N, class X, class Y>
void gated_add(const Context& ctx, const GatedAddArgs& a, int64_t rows, int64_t width) {
  const GatedAdd<N, X, Y> f{at<X>(a.x),
                            at<const Y>(a.y),
                            at<const float>(a.gate),
                            width / N,
                            width,
                            a.gate ? a.x.stride(0) : width,
                            a.gate ? a.y.stride(0) : width,
                            a.split,
                            a.gate ? (a.gate.dim(0) - 1) * a.gate.stride(0) : 0};
  each(ctx, rows * (width / N), f);
}

}  // namespace

void gated_add(Context& ctx, const GatedAddArgs& a) {
  const int64_t n = a.x.numel();
  if (n == 0) return;
  // Without a gate the tensors are dense and rows mean nothing.
  const int64_t rows = a.gate ? a.x.dim(0) : 1, width = n / rows;
  const bool vectors = by_eights(a.x.data, width, a.gate ? a.x.stride(0) : 0) &&
                       by_eights(a.y.data, width, a.gate ? a.y.stride(0) : 0) &&
                       (!a.gate || by_eights(a.gate.data, width, a.gate.stride(0)));
  with_type(a.x.dtype, [&]<class X>() {
    with_type(a.y.dtype, [&]<class Y>() {
      if (vectors)
        gated_add<8, X, Y>(ctx, a, rows, width);
      else
        gated_add<1, X, Y>(ctx, a, rows, width);
    });
  });
}

void gelu_mul(Context& ctx, const GeluMulArgs& a) {
  const int64_t n = a.a.numel();
  with_type(a.a.dtype, [&]<class T>() {
    if (n % 8 == 0 && aligned(a.a.data) && aligned(a.b.data))
      each(ctx, n / 8, GeluMul<8, T>{at<T>(a.a), at<const T>(a.b)});
    else
      each(ctx, n, GeluMul<1, T>{at<T>(a.a), at<const T>(a.b)});
  });
}

void silu(Context& ctx, const SiluArgs& a) { map<float, float>(ctx, a.x, a.y, Silu{}); }

void convert(Context& ctx, const ConvertArgs& a) {
  if (a.x.numel() == 0) return;
  if (a.x.dtype == a.y.dtype)
    wan::cuda::check(cudaMemcpyAsync(a.y.data, a.x.data, static_cast<size_t>(a.x.nbytes()), cudaMemcpyDeviceToDevice,
                                     stream_of(ctx)));
  else if (a.x.dtype == DType::bf16)
    map<half_t, float>(ctx, a.x, a.y, Same{});
  else
    map<float, half_t>(ctx, a.x, a.y, Same{});
}

void combine(Context& ctx, const CombineArgs& a) {
  Combine f{{}, {}, a.count};
  for (int s = 0; s < a.slots; ++s) f.slot[s] = at<float>(a.slot[static_cast<size_t>(s)]);
  for (int s = 0; s < a.count; ++s) {
    const CombineArgs::Sum& from = a.sums[static_cast<size_t>(s)];
    f.sums[s].out = from.out;
    f.sums[s].terms = from.terms;
    std::copy(from.in.begin(), from.in.end(), f.sums[s].in);
    std::copy(from.coefficient.begin(), from.coefficient.end(), f.sums[s].coefficient);
  }
  each(ctx, a.slot[0].numel(), f);
}

void embedding(Context& ctx, const EmbeddingArgs& a) {
  const auto scope = ctx.arena->scope();
  const Tensor ids = ctx.make(DType::i32, {static_cast<int64_t>(a.ids.size())});
  ctx.arena->memory().upload(ids.data, a.ids.data(), ids.nbytes());
  switch (a.table.dtype) {
    case DType::bf16: return embed<half_t>(ctx, a, ids);
    case DType::f16: return embed<__half>(ctx, a, ids);
    default: return embed<float>(ctx, a, ids);
  }
}

void all_finite(Context& ctx, const AllFiniteArgs& a) {
  const auto scope = ctx.arena->scope();
  MemoryResource& memory = ctx.arena->memory();
  const Tensor bad = ctx.make(DType::i32, {1});
  memory.fill_zero(bad.data, bad.nbytes());
  each(ctx, a.x.numel(), FindBad{at<const uint32_t>(a.x), at<int>(bad)});
  int32_t found = 0;
  memory.download(&found, bad.data, sizeof found);
  *a.result = found == 0;
}

}  // namespace wan::ops::cuda
