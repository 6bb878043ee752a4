#include "ops/gemm_cuda.h"

#include "ops/cuda_util.cuh"

namespace wan::ops::cuda {
namespace {

// y[b, i, j] = activation(x[b, i, j] + bias[j]); x and y may be the same.
template <class X, class Y>
struct FinishRows {
  const X* x;
  Y* y;
  const float* bias;
  int64_t n, x_row, y_row;
  Activation activation;
  __device__ void operator()(int64_t at) const {
    const int64_t i = at / n, j = at % n;
    float v = load<1>(x + i * x_row + j).v[0];
    if (bias) v += bias[j];
    store<1>(y + i * y_row + j, Floats<1>{{activate(v, activation)}});
  }
};

template <class X, class Y>
void finish(const Context& ctx, const X* x, int64_t x_row, const Gemm& g) {
  each(ctx, g.shape.m * g.shape.n,
       FinishRows<X, Y>{x, static_cast<Y*>(g.y), at<const float>(g.bias), g.shape.n, x_row, g.shape.y_row,
                        g.activation});
}

// One thread an element: for shapes that cuBLASLt does not take.
template <class X, class Y>
struct PlainProduct {
  const X *x, *w;
  Y* y;
  const float* bias;
  GemmShape s;
  float alpha;
  Activation activation;
  __device__ void operator()(int64_t at) const {
    const int64_t j = at % s.n, i = at / s.n % s.m, b = at / (s.n * s.m);
    const X *row = x + b * s.x_batch + i * s.x_row, *column = w + b * s.w_batch + (s.w_is_kn ? j : j * s.w_row);
    const int64_t step = s.w_is_kn ? s.w_row : 1;
    float sum = 0;
    for (int64_t k = 0; k < s.k; ++k) sum += load<1>(row + k).v[0] * load<1>(column + k * step).v[0];
    sum *= alpha;
    if (bias) sum += bias[j];
    store<1>(y + b * s.y_batch + i * s.y_row + j, Floats<1>{{activate(sum, activation)}});
  }
};

void plain(const Context& ctx, const Gemm& g) {
  with_type(g.shape.in, [&]<class X>() {
    with_type(g.shape.out, [&]<class Y>() {
      each(ctx, g.shape.batch * g.shape.m * g.shape.n,
           PlainProduct<X, Y>{static_cast<const X*>(g.x), static_cast<const X*>(g.w), static_cast<Y*>(g.y),
                              at<const float>(g.bias), g.shape, g.alpha, g.activation});
    });
  });
}

bool adds_bias(Epilogue e) { return e != Epilogue::none && e != Epilogue::gelu; }
bool applies_gelu(Epilogue e) {
  return e == Epilogue::gelu || e == Epilogue::bias_gelu || e == Epilogue::bias_bf16_gelu;
}

// The first epilogue of `wanted` that cuBLASLt has for the shape, written into it; false if not even the bare product.
bool choose(CublasLtPlans& plans, GemmShape& shape, std::initializer_list<Epilogue> wanted) {
  for (const Epilogue e : wanted) {
    shape.epilogue = e;
    if (plans.plan(shape).usable) return true;
  }
  return false;
}

// cuBLASLt's GELU is exact enough for bf16 results only. A bf16 bias is what upstream's autocast adds.
bool choose(CublasLtPlans& plans, GemmShape& shape, bool bias, bool gelu) {
  using E = Epilogue;
  const bool narrow = shape.out == DType::bf16;
  if (bias && gelu && narrow)
    return choose(plans, shape, {E::bias_gelu, E::bias_bf16_gelu, E::bias, E::bias_bf16, E::none});
  if (bias && narrow) return choose(plans, shape, {E::bias, E::bias_bf16, E::none});
  if (bias) return choose(plans, shape, {E::bias, E::none});
  if (gelu && narrow) return choose(plans, shape, {E::gelu, E::none});
  return choose(plans, shape, {E::none});
}

void run(Context& ctx, const GemmShape& shape, const Gemm& g, void* y) {
  CublasLtPlans& plans = state_of(ctx).cublaslt;
  Tensor bias = g.bias;
  if (shape.epilogue == Epilogue::bias_bf16 || shape.epilogue == Epilogue::bias_bf16_gelu) {
    bias = ctx.make(DType::bf16, {shape.n});
    convert(ctx, {g.bias, bias});
  }
  const Tensor workspace = ctx.make(DType::u8, {plans.plan(shape).workspace});
  plans.run(shape, g.alpha, g.x, g.w, bias.data, y, workspace.data, stream_of(ctx));
}

}  // namespace

void gemm(Context& ctx, const Gemm& asked) {
  Gemm g = asked;
  GemmShape& s = g.shape;
  if (s.m == 0 || s.n == 0 || s.batch == 0) return;
  s.x_alignment = alignment_of(g.x);
  s.w_alignment = alignment_of(g.w);
  s.y_alignment = alignment_of(g.y);
  CublasLtPlans& plans = state_of(ctx).cublaslt;
  if (!choose(plans, s, static_cast<bool>(g.bias), g.activation == Activation::gelu_tanh)) return plain(ctx, g);

  const auto scope = ctx.arena->scope();
  const bool bias_left = g.bias && !adds_bias(s.epilogue);
  const bool activation_left = g.activation != Activation::none && !applies_gelu(s.epilogue);
  if (!bias_left && !activation_left) return run(ctx, s, g, g.y);

  // The rest follows in a pass of its own, on sums that are not rounded yet.
  GemmShape whole = s;
  whole.out = DType::f32;
  whole.y_row = s.n;
  const Tensor sums = ctx.make(DType::f32, {s.m, s.n});
  whole.y_alignment = alignment_of(sums.data);
  if (!choose(plans, whole, static_cast<bool>(g.bias), false)) return plain(ctx, g);
  if (adds_bias(whole.epilogue)) g.bias = {};
  run(ctx, whole, asked, sums.data);
  with_type(s.out, [&]<class Y>() { finish<float, Y>(ctx, at<const float>(sums), s.n, g); });
}

void linear(Context& ctx, const LinearArgs& a) {
  Gemm g{{.m = a.x.dim(0),
          .n = a.w.dim(0),
          .k = a.x.dim(1),
          .x_row = a.x.stride(0),
          .w_row = a.w.stride(0),
          .y_row = a.y.stride(0),
          .in = a.x.dtype,
          .out = a.y.dtype},
         a.x.data,
         a.w.data,
         a.y.data,
         1.f,
         a.b,
         a.activation};
  // The distance between rows means nothing where there is but one.
  if (g.shape.m == 1) g.shape.x_row = g.shape.k, g.shape.y_row = g.shape.n;
  gemm(ctx, g);
}

}  // namespace wan::ops::cuda
