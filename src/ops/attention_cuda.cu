#include <algorithm>

#include "core/checked.h"
#include "ops/attention_choice.h"
#include "ops/attention_hopper.h"
#include "ops/cuda_util.cuh"
#include "ops/gemm_cuda.h"

namespace wan::ops::cuda {
namespace {

constexpr int softmax_threads = 256;

// A largest score and the sum of exp(score - largest).
struct Softmax {
  float top = -INFINITY, total = 0.f;
  __device__ void add(const Softmax& o) {
    const float most = fmaxf(top, o.top);
    if (most == -INFINITY) return;
    total = total * expf(top - most) + o.total * expf(o.top - most);
    top = most;
  }
};

__device__ Softmax block_softmax(Softmax s) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    s.add({__shfl_xor_sync(0xffffffffu, s.top, step), __shfl_xor_sync(0xffffffffu, s.total, step)});
  __shared__ Softmax parts[softmax_threads / 32];
  if (threadIdx.x % 32 == 0) {
    parts[threadIdx.x / 32].top = s.top;
    parts[threadIdx.x / 32].total = s.total;
  }
  __syncthreads();
  s = parts[0];
  for (int i = 1; i < softmax_threads / 32; ++i) s.add(parts[i]);
  return s;
}

struct ScoreBlock {
  int64_t rows, lk, row;  // rows of each head's block; keys; elements from row to row
  int64_t first_row, lq;  // for the bias
};

// weight = softmax(score + bias) along each row of a block [heads, rows, lk]; weight may be score.
template <class W>
__global__ void __launch_bounds__(softmax_threads)
    softmax_kernel(const float* score, W* weight, const float* bias, ScoreBlock z) {
  const int64_t line = blockIdx.x, head = line / z.rows, i = z.first_row + line % z.rows;
  const float* from = score + line * z.row;
  W* to = weight + line * z.row;
  const float* shift = bias ? bias + head * (z.lq + z.lk - 1) + z.lq - 1 - i : nullptr;
  Softmax mine;
  for (int64_t j = threadIdx.x; j < z.lk; j += softmax_threads) mine.add({from[j] + (shift ? shift[j] : 0.f), 1.f});
  const Softmax all = block_softmax(mine);
  const float inverse = 1.f / all.total;
  for (int64_t j = threadIdx.x; j < z.lk; j += softmax_threads)
    store<1>(to + j, Floats<1>{{expf(from[j] + (shift ? shift[j] : 0.f) - all.top) * inverse}});
}

AttentionProblem problem_of(const AttentionArgs& a) {
  const bool whole = aligned(a.q.data) && aligned(a.k.data) && aligned(a.v.data) && aligned(a.y.data);
  return {{a.q.dim(0), a.k.dim(0), a.q.dim(1), a.q.dim(2), a.q.stride(0), a.k.stride(0), a.v.stride(0), a.scale},
          a.q.dtype,
          static_cast<bool>(a.rel_bias),
          whole};
}

template <class T>
const T* head_of(const Tensor& t, int64_t row, int64_t head) {
  return static_cast<const T*>(t.data) + row * t.stride(0) + head * t.dim(2);
}

// Scores, weights and values of some rows of some heads.
template <class T>
void block(Context& ctx, const AttentionArgs& a, const AttentionShape& s, int64_t head, int64_t heads, int64_t first,
           int64_t rows, const Tensor& score, const Tensor& weight) {
  const int64_t row = score.dim(2);
  const DType type = a.q.dtype;
  gemm(ctx, {{.m = rows,
              .n = s.lk,
              .k = s.d,
              .batch = heads,
              .x_row = s.q_row,
              .w_row = s.k_row,
              .y_row = row,
              .x_batch = s.d,
              .w_batch = s.d,
              .y_batch = rows * row,
              .in = type,
              .out = DType::f32},
             head_of<T>(a.q, first, head),
             head_of<T>(a.k, 0, head),
             score.data,
             s.scale,
             {},
             Activation::none});
  const float* bias = a.rel_bias ? at<const float>(a.rel_bias) + head * (s.lq + s.lk - 1) : nullptr;
  softmax_kernel<<<static_cast<unsigned>(heads * rows), softmax_threads, 0, stream_of(ctx)>>>(
      at<const float>(score), at<T>(weight), bias, ScoreBlock{rows, s.lk, row, first, s.lq});
  wan::cuda::check_launch();
  gemm(ctx, {{.m = rows,
              .n = s.d,
              .k = s.lk,
              .batch = heads,
              .x_row = row,
              .w_row = s.v_row,
              .y_row = s.heads * s.d,
              .x_batch = rows * row,
              .w_batch = s.d,
              .y_batch = s.d,
              .w_is_kn = true,
              .in = type,
              .out = type},
             weight.data,
             head_of<T>(a.v, 0, head),
             const_cast<T*>(head_of<T>(a.y, first, head)),
             1.f,
             {},
             Activation::none});
}

void by_products(Context& ctx, const AttentionArgs& a, const AttentionShape& s, const AttentionConfig& c) {
  const auto scope = ctx.arena->scope();
  const Tensor score = ctx.make(DType::f32, {c.heads, c.rows, round_up(s.lk, 8)});
  const Tensor weight = a.q.dtype == DType::f32 ? score : ctx.make(a.q.dtype, score.shape);
  with_type(a.q.dtype, [&]<class T>() {
    for (int64_t head = 0; head < s.heads; head += c.heads)
      for (int64_t first = 0; first < s.lq; first += c.rows) {
        ctx.check_stop();
        block<T>(ctx, a, s, head, std::min(c.heads, s.heads - head), first, std::min(c.rows, s.lq - first), score,
                 weight);
      }
  });
}

}  // namespace

void attention(Context& ctx, const AttentionArgs& a) {
  if (a.q.numel() == 0) return;
  CudaState& state = state_of(ctx);
  const AttentionProblem problem = problem_of(a);
  AttentionConfig config = choose_attention(problem, state.capability);
  if (config.kernel == AttentionKernel::hopper)
    return hopper_attention(stream_of(ctx), problem.shape, a.q.data, a.k.data, a.v.data, a.y.data);
  if (config.kernel == AttentionKernel::cudnn) {
    const CudnnPlan& plan = state.cudnn.attention(problem.shape);
    if (plan.unsupported.empty()) {
      const auto scope = ctx.arena->scope();
      const Tensor workspace = ctx.make(DType::u8, {plan.workspace});
      state.cudnn.run(problem.shape, a.q.data, a.k.data, a.v.data, a.y.data, workspace.data);
      return;
    }
    config = attention_by_products(problem, plan.unsupported);
  }
  by_products(ctx, a, problem.shape, config);
}

}  // namespace wan::ops::cuda
