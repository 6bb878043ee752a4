// Norms over rows. A row belongs to a group of threads, as many as its width needs; what the first pass read is still
// in the L1 cache when the second one reads it again, so that device memory sees each element once.
#include "ops/cuda_util.cuh"

namespace wan::ops::cuda {
namespace {

constexpr int block_threads = 256;

// The sum over a group of G neighbouring threads; groups larger than a warp are whole blocks.
template <int G>
__device__ float group_sum(float v) {
  constexpr int within = G < 32 ? G : 32;
#pragma unroll
  for (int step = within / 2; step > 0; step /= 2) v += __shfl_xor_sync(0xffffffffu, v, step);
  if constexpr (G > 32) {
    __shared__ float parts[G / 32];
    __syncthreads();  // the sums before are read
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0;
#pragma unroll
    for (int i = 0; i < G / 32; ++i) v += parts[i];
  }
  return v;
}

// Rows of parameters: the first up to `split`, then the last.
struct ParameterRows {
  const float* data;
  int64_t row;  // elements to the last row; 0 if there is but one
  __device__ const float* of(int64_t i, int64_t split) const { return data + (i < split ? 0 : row); }
};

ParameterRows parameter_rows(const Tensor& t) {
  return {at<const float>(t), t.rank() == 2 ? (t.dim(0) - 1) * t.stride(0) : 0};
}

struct RowSizes {
  int64_t rows;
  int width;
  int64_t x_row, y_row;
};

// y = (x - mean) / sqrt(var + eps) * (offset + mul) + add. The second pass measures from the rounded mean of the first.
template <int N, int G, class Y>
__global__ void __launch_bounds__(block_threads)
    normalize_kernel(const float* x, Y* y, RowSizes z, ParameterRows mul, ParameterRows add, int64_t split,
                     float offset, float eps) {
  const int64_t row = int64_t{blockIdx.x} * (blockDim.x / G) + threadIdx.x / G;
  const int lane = threadIdx.x % G;
  const bool present = row < z.rows;  // all threads take part in the sums
  const float* from = x + (present ? row : 0) * z.x_row;

  float total = 0;
  for (int i = lane * N; i < z.width; i += G * N) {
    const auto f = load<N>(from + i);
#pragma unroll
    for (int j = 0; j < N; ++j) total += f.v[j];
  }
  const float rough = group_sum<G>(total) / static_cast<float>(z.width);

  float first = 0, second = 0;
  for (int i = lane * N; i < z.width; i += G * N) {
    const auto f = load<N>(from + i);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const float d = f.v[j] - rough;
      first += d;
      second += d * d;
    }
  }
  const float rest = group_sum<G>(first) / static_cast<float>(z.width);
  const float variance = fmaxf(group_sum<G>(second) / static_cast<float>(z.width) - rest * rest, 0.f);
  const float inverse = 1.f / sqrtf(variance + eps);
  if (!present) return;

  const float *times = mul.of(row, split), *plus = add.of(row, split);
  for (int i = lane * N; i < z.width; i += G * N) {
    auto f = load<N>(from + i);
    const auto m = load<N>(times + i), a = load<N>(plus + i);
#pragma unroll
    for (int j = 0; j < N; ++j) f.v[j] = ((f.v[j] - rough) - rest) * inverse * (offset + m.v[j]) + a.v[j];
    store<N>(y + row * z.y_row + i, f);
  }
}

// The same for rows of up to S * 1024 elements, kept in registers; with Adds, x += y * gate comes first.
template <int S, bool Adds, class Y, class Z>
__global__ void __launch_bounds__(128)
    normalize_wide_kernel(float* x, const Y* y, Z* to, int width, ParameterRows gate, ParameterRows mul,
                          ParameterRows add, int64_t split, float offset, float eps) {
  constexpr int N = 8, step = 128 * N;
  const int64_t row = blockIdx.x;
  float* from = x + row * width;
  Floats<N> v[S];
  float total = 0;
#pragma unroll
  for (int s = 0; s < S; ++s) {
    const int i = s * step + static_cast<int>(threadIdx.x) * N;
    if (i >= width) break;
    v[s] = load<N>(from + i);
    if constexpr (Adds) {
      const auto more = load<N>(y + row * width + i);
      if (gate.data) {
        const auto g = load<N>(gate.of(row, split) + i);
#pragma unroll
        for (int j = 0; j < N; ++j) v[s].v[j] += more.v[j] * g.v[j];
      } else {
#pragma unroll
        for (int j = 0; j < N; ++j) v[s].v[j] += more.v[j];
      }
      store<N>(from + i, v[s]);
    }
#pragma unroll
    for (int j = 0; j < N; ++j) total += v[s].v[j];
  }
  const float rough = group_sum<128>(total) / static_cast<float>(width);

  float first = 0, second = 0;
#pragma unroll
  for (int s = 0; s < S; ++s) {
    if (s * step + static_cast<int>(threadIdx.x) * N >= width) break;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      v[s].v[j] -= rough;
      first += v[s].v[j];
      second += v[s].v[j] * v[s].v[j];
    }
  }
  const float rest = group_sum<128>(first) / static_cast<float>(width);
  const float variance = fmaxf(group_sum<128>(second) / static_cast<float>(width) - rest * rest, 0.f);
  const float inverse = 1.f / sqrtf(variance + eps);

  const float *times = mul.of(row, split), *plus = add.of(row, split);
#pragma unroll
  for (int s = 0; s < S; ++s) {
    const int i = s * step + static_cast<int>(threadIdx.x) * N;
    if (i >= width) break;
    const auto m = load<N>(times + i), a = load<N>(plus + i);
#pragma unroll
    for (int j = 0; j < N; ++j) v[s].v[j] = (v[s].v[j] - rest) * inverse * (offset + m.v[j]) + a.v[j];
    store<N>(to + row * width + i, v[s]);
  }
}

enum class Finish { none, silu, rope };

// The tables of a rotary embedding, and the rows of them that one token uses.
struct RopeTables {
  const float2 *frame, *height, *width;
  int frame_pairs, height_pairs, width_pairs, rows, columns, head;
  int64_t first_token;
};

struct TokenTurns {
  const float2 *frame, *height, *width;
  int to_height, to_width;  // the first pair of each axis
  __device__ TokenTurns(const RopeTables& t, int64_t row)
      : to_height(t.frame_pairs), to_width(t.frame_pairs + t.height_pairs) {
    const int64_t token = t.first_token + row, line = token / t.columns;
    frame = t.frame + line / t.rows * t.frame_pairs;
    height = t.height + line % t.rows * t.height_pairs;
    width = t.width + token % t.columns * t.width_pairs;
  }
  __device__ float2 of(int pair) const {
    return pair < to_height ? frame[pair] : pair < to_width ? height[pair - to_height] : width[pair - to_width];
  }
};

// y = x / root * w with root = sqrt(mean(x^2) + eps), or max(|x|, 1e-12) / sqrt(C) if `by_length`. y may be x.
template <int N, int G, Finish finish, class X, class Y>
__global__ void __launch_bounds__(block_threads)
    scale_kernel(const X* x, Y* y, RowSizes z, const float* w, bool by_length, float eps, RopeTables rope) {
  const int64_t row = int64_t{blockIdx.x} * (blockDim.x / G) + threadIdx.x / G;
  const int lane = threadIdx.x % G;
  const bool present = row < z.rows;
  const X* from = x + (present ? row : 0) * z.x_row;

  float squares = 0;
  for (int i = lane * N; i < z.width; i += G * N) {
    const auto f = load<N>(from + i);
#pragma unroll
    for (int j = 0; j < N; ++j) squares += f.v[j] * f.v[j];
  }
  squares = group_sum<G>(squares);
  if (!present) return;
  const auto n = static_cast<float>(z.width);
  const float factor = by_length ? sqrtf(n) / fmaxf(sqrtf(squares), 1e-12f) : 1.f / sqrtf(squares / n + eps);

  for (int i = lane * N; i < z.width; i += G * N) {
    auto f = load<N>(from + i);
    const auto m = load<N>(w + i);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      f.v[j] = f.v[j] * factor * m.v[j];
      if constexpr (finish == Finish::silu) f.v[j] = silu_of(f.v[j]);
    }
    if constexpr (finish == Finish::rope) {
      const TokenTurns turns(rope, row);
      const int pair = i % rope.head / 2;  // a thread's pairs are of one head
#pragma unroll
      for (int j = 0; j < N; j += 2) {
        const float2 t = turns.of(pair + j / 2);
        const float re = f.v[j], im = f.v[j + 1];
        f.v[j] = re * t.x - im * t.y;
        f.v[j + 1] = re * t.y + im * t.x;
      }
    }
    store<N>(y + row * z.y_row + i, f);
  }
}

// How many threads serve one row, and how many elements each takes at once: f.template operator()<N, G>(blocks,
// threads). At most four vectors a thread for narrow rows; a block for wide ones. `by_two` is for kernels that work on
// pairs.
template <int Narrow, class F>
void with_rows(const RowSizes& z, bool vectors, const F& f) {
  const auto launch = [&]<int N, int G>() {
    constexpr int threads = G > 32 ? G : block_threads;
    constexpr int at_once = threads / G;
    f.template operator()<N, G>(static_cast<unsigned>((z.rows + at_once - 1) / at_once), threads);
  };
  if (!vectors) return launch.template operator()<Narrow, 128>();
  const int needed = (z.width / 8 + 3) / 4;
  if (needed <= 4) return launch.template operator()<8, 4>();
  if (needed <= 8) return launch.template operator()<8, 8>();
  if (needed <= 16) return launch.template operator()<8, 16>();
  if (needed <= 32) return launch.template operator()<8, 32>();
  launch.template operator()<8, 128>();
}

RowSizes sizes_of(const Tensor& x, const Tensor& y) {
  return {x.dim(0), static_cast<int>(x.dim(1)), x.stride(0), y.stride(0)};
}

// What a norm of the rows of x needs; with `y`, x += y * gate comes first.
struct Normalize {
  Tensor x, y, gate, mul, add, to;
  int64_t split;
  float offset, eps;
};

// Whether the wide kernel takes it; it does the addition too.
bool normalize_wide(Context& ctx, const Normalize& a) {
  const int width = static_cast<int>(a.x.dim(1));
  const ParameterRows times = parameter_rows(a.mul), plus = parameter_rows(a.add);
  const ParameterRows gate = a.gate ? parameter_rows(a.gate) : ParameterRows{nullptr, 0};
  const auto fits = [&](const void* p, int64_t row) { return by_eights(p, width, row); };
  if (width < 1024 || width > 8192 || !a.x.contiguous() || !a.to.contiguous() || (a.y && !a.y.contiguous()) ||
      !fits(a.x.data, 0) || !fits(a.to.data, 0) || !fits(a.y.data, 0) || !fits(gate.data, gate.row) ||
      !fits(times.data, times.row) || !fits(plus.data, plus.row))
    return false;
  const auto launch = [&]<int S>() {
    with_type(a.to.dtype, [&]<class Z>() {
      const auto rows = static_cast<unsigned>(a.x.dim(0));
      if (!a.y)
        normalize_wide_kernel<S, false, float><<<rows, 128, 0, stream_of(ctx)>>>(
            at<float>(a.x), nullptr, at<Z>(a.to), width, gate, times, plus, a.split, a.offset, a.eps);
      else
        with_type(a.y.dtype, [&]<class Y>() {
          normalize_wide_kernel<S, true><<<rows, 128, 0, stream_of(ctx)>>>(
              at<float>(a.x), at<const Y>(a.y), at<Z>(a.to), width, gate, times, plus, a.split, a.offset, a.eps);
        });
    });
  };
  if (width <= 2048)
    launch.template operator()<2>();
  else if (width <= 3072)
    launch.template operator()<3>();
  else if (width <= 5120)
    launch.template operator()<5>();
  else
    launch.template operator()<8>();
  wan::cuda::check_launch();
  return true;
}

void normalize(Context& ctx, const Normalize& a) {
  if (a.x.numel() == 0 || normalize_wide(ctx, a)) return;
  if (a.y) gated_add(ctx, {a.x, a.y, a.gate, a.split});
  const RowSizes z = sizes_of(a.x, a.to);
  const ParameterRows times = parameter_rows(a.mul), plus = parameter_rows(a.add);
  const bool vectors = by_eights(a.x.data, z.width, z.x_row) && by_eights(a.to.data, z.width, z.y_row) &&
                       by_eights(times.data, z.width, times.row) && by_eights(plus.data, z.width, plus.row);
  with_type(a.to.dtype, [&]<class Y>() {
    with_rows<1>(z, vectors, [&]<int N, int G>(unsigned blocks, int threads) {
      normalize_kernel<N, G><<<blocks, threads, 0, stream_of(ctx)>>>(at<const float>(a.x), at<Y>(a.to), z, times, plus,
                                                                     a.split, a.offset, a.eps);
    });
  });
  wan::cuda::check_launch();
}

template <Finish finish, class X, class Y>
void scale(Context& ctx, const Tensor& x, const Tensor& y, const Tensor& w, bool by_length, float eps,
           const RopeTables& rope = {}) {
  const RowSizes z = sizes_of(x, y);
  if (x.numel() == 0) return;
  const bool vectors = by_eights(x.data, z.width, z.x_row) && by_eights(y.data, z.width, z.y_row) && aligned(w.data) &&
                       (finish != Finish::rope || rope.head % 8 == 0);
  // Scalar rope kernels take a pair at a time.
  with_rows<finish == Finish::rope ? 2 : 1>(z, vectors, [&]<int N, int G>(unsigned blocks, int threads) {
    scale_kernel<N, G, finish>
        <<<blocks, threads, 0, stream_of(ctx)>>>(at<const X>(x), at<Y>(y), z, at<const float>(w), by_length, eps, rope);
  });
  wan::cuda::check_launch();
}

RopeTables tables_of(const RmsNormRopeArgs& a) {
  const Rope3d& r = *a.rope;
  const auto pairs = [](const Tensor& t) { return static_cast<int>(t.dim(1)); };
  return {at<const float2>(r.frame),
          at<const float2>(r.height),
          at<const float2>(r.width),
          pairs(r.frame),
          pairs(r.height),
          pairs(r.width),
          static_cast<int>(r.height.dim(0)),
          static_cast<int>(r.width.dim(0)),
          static_cast<int>(a.x.dim(1) / a.heads),
          a.first_token};
}

}  // namespace

void norm_modulate(Context& ctx, const NormModulateArgs& a) {
  normalize(ctx, {a.x, {}, {}, a.scale, a.shift, a.y, a.split, 1.f, a.eps});
}

void layer_norm(Context& ctx, const LayerNormArgs& a) { normalize(ctx, {a.x, {}, {}, a.w, a.b, a.y, 0, 0.f, a.eps}); }

void gated_add_norm(Context& ctx, const GatedAddNormArgs& a) {
  normalize(ctx, {a.x, a.y, a.gate, a.scale, a.shift, a.z, a.split, a.offset, a.eps});
}

void rms_norm(Context& ctx, const RmsNormArgs& a) {
  with_type(a.y.dtype, [&]<class Y>() { scale<Finish::none, float, Y>(ctx, a.x, a.y, a.w, false, a.eps); });
}

void channel_norm(Context& ctx, const ChannelNormArgs& a) {
  with_type(a.x.dtype, [&]<class T>() {
    if (a.silu)
      scale<Finish::silu, T, T>(ctx, a.x, a.y, a.gamma, true, 0.f);
    else
      scale<Finish::none, T, T>(ctx, a.x, a.y, a.gamma, true, 0.f);
  });
}

void rms_norm_rope(Context& ctx, const RmsNormRopeArgs& a) {
  with_type(a.x.dtype, [&]<class T>() {
    if (a.rope)
      scale<Finish::rope, T, T>(ctx, a.x, a.x, a.w, false, a.eps, tables_of(a));
    else
      scale<Finish::none, T, T>(ctx, a.x, a.x, a.w, false, a.eps);
  });
}

}  // namespace wan::ops::cuda
