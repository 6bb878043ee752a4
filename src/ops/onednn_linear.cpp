#include <string_view>

#include "core/error.h"
#include "ops/cpu.h"
#include "ops/cpu_util.h"
#include "ops/onednn_plans.h"
#include "ops/plain_linear.h"

namespace wan::ops::cpu {
namespace {

using dnnl::memory;

// Below this many multiplications making a primitive costs more than it saves.
constexpr int64_t worth_a_primitive = 1 << 18;

memory::desc rows_desc(const Tensor& t) { return {{t.dim(0), t.dim(1)}, onednn_type(t.dtype), {t.stride(0), 1}}; }

dnnl::primitive_attr attributes_for(Activation activation) {
  auto attributes = onednn_attributes();
  dnnl::post_ops after;
  if (activation == Activation::gelu_tanh) append_activation(after, dnnl::algorithm::eltwise_gelu_tanh, 0.f);
  if (activation == Activation::silu) append_activation(after, dnnl::algorithm::eltwise_swish, 1.f);
  attributes.set_post_ops(after);
  return attributes;
}

// w stays as it is, [N, K]: for oneDNN that is a transposed [K, N], packed block by block on the way.
bool try_onednn(Context& ctx, const LinearArgs& a) {
  const int64_t k = a.x.dim(1), n = a.w.dim(0);
  const OnednnThreads threads(useful_threads(ctx, a.x.dim(0) * n, k / 8));
  const memory::desc w({k, n}, onednn_type(a.w.dtype), memory::dims{1, k});
  const memory::desc b = a.b ? memory::desc({1, n}, memory::data_type::f32, memory::dims{n, 1}) : memory::desc();
  const auto plan = matmul_plan(rows_desc(a.x), w, b, rows_desc(a.y), attributes_for(a.activation));
  if (!plan || !is_optimised(plan.impl_info_str())) return false;

  const auto scope = ctx.arena->scope();
  const memory scratch = onednn_scratch(ctx, plan.scratchpad_desc());
  if (is_dry(ctx)) return true;
  dnnl::stream stream(onednn_engine());
  std::unordered_map<int, memory> tensors{{DNNL_ARG_SRC, onednn_memory(plan.src_desc(), a.x.data)},
                                          {DNNL_ARG_WEIGHTS, onednn_memory(plan.weights_desc(), a.w.data)},
                                          {DNNL_ARG_DST, onednn_memory(plan.dst_desc(), a.y.data)},
                                          {DNNL_ARG_SCRATCHPAD, scratch}};
  if (a.b) tensors.emplace(DNNL_ARG_BIAS, onednn_memory(plan.bias_desc(), a.b.data));
  dnnl::matmul(plan).execute(stream, tensors);
  stream.wait();
  return true;
}

}  // namespace

void linear(Context& ctx, const LinearArgs& a) {
  try {
    const bool small = a.x.dim(0) * a.x.dim(1) * a.w.dim(0) < worth_a_primitive;
    if (small || !try_onednn(ctx, a)) plain_linear(ctx, a);
  } catch (const dnnl::error& e) {
    fail(ErrorCode::device, "[linear] oneDNN failed on x {} and w {}: {}", to_string(a.x), to_string(a.w), e.what());
  }
}

}  // namespace wan::ops::cpu
