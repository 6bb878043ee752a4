#include <algorithm>
#include <cstring>
#include <string_view>

#include "core/error.h"
#include "ops/conv_parts_cpu.h"
#include "ops/cpu.h"
#include "ops/cpu_util.h"
#include "ops/onednn_plans.h"
#include "ops/plain_linear.h"

namespace wan::ops::cpu {
namespace {

using dnnl::memory;
using tag = dnnl::memory::format_tag;

constexpr int64_t worth_a_primitive = 1 << 18;  // multiplications

// A point-wise convolution is a linear layer over the pixels.
bool is_linear(const ConvArgs& a) {
  const bool point = a.w.dim(1) == 1 && a.w.dim(2) == 1 && a.w.dim(3) == 1;
  return point && !a.upsample && a.y.numel() / a.y.dim(3) == a.x.numel() / a.x.dim(3) &&
         a.stride == std::array<int64_t, 3>{1, 1, 1};
}

// history and x in one piece, doubled in height and width if asked: [t + T, sH, sW, C].
Tensor joined(Context& ctx, const ConvArgs& a) {
  if (!a.history && !a.upsample) return a.x;
  const int64_t past = a.past(), height = a.x.dim(1), scale = a.upsample ? 2 : 1;
  const Tensor all = ctx.make(a.x.dtype, {past + a.x.dim(0), height * scale, a.x.dim(2) * scale, a.x.dim(3)});
  if (is_dry(ctx)) return all;
  const auto pixel = static_cast<size_t>(a.x.dim(3) * size_of(a.x.dtype)),
             line = pixel * static_cast<size_t>(a.x.dim(2));
  parallel_for(ctx, all.dim(0) * height, a.x.dim(2) * a.x.dim(3), [&](int64_t i) {
    const int64_t t = i / height, h = i % height;
    const int64_t start = t < past ? a.past_offset(t) : (t - past) * a.x.stride(0);
    const auto* from = static_cast<const std::byte*>(t < past ? a.history.data : a.x.data) +
                       start * size_of(a.x.dtype) + static_cast<size_t>(h) * line;
    auto* to = static_cast<std::byte*>(all.data) + static_cast<size_t>(i * scale * scale) * line;
    if (!a.upsample) {
      std::memcpy(to, from, line);
      return;
    }
    for (int64_t w = 0; w < a.x.dim(2); ++w, from += pixel)
      for (size_t twice = 0; twice < 2; ++twice)
        std::memcpy(to + (2 * static_cast<size_t>(w) + twice) * pixel, from, pixel);
    std::memcpy(to + 2 * line, to, 2 * line);
  });
  return all;
}

// The problem in oneDNN's terms, channels last. Kernels of one frame are images, the frames their batch; others are one
// clip, whose missing frames in front are padding.
struct Problem {
  memory::dims x, w, y, stride, pad_front, pad_back;
  tag activations, weights;
};

Problem problem_of(const ConvArgs& a, const Tensor& x) {
  const int64_t o = a.w.dim(0), kt = a.w.dim(1), kh = a.w.dim(2), kw = a.w.dim(3), c = a.w.dim(4);
  if (kt == 1 && a.stride[0] == 1)
    return {{x.dim(0), c, x.dim(1), x.dim(2)},
            {o, c, kh, kw},
            {a.y.dim(0), o, a.y.dim(1), a.y.dim(2)},
            {a.stride[1], a.stride[2]},
            {a.pad_top, a.pad_left},
            {a.pad_bottom, a.pad_right},
            tag::nhwc,
            tag::acdb};
  const int64_t zeros = a.time_valid ? 0 : kt - 1 - a.past();
  // oneDNN wants no frames left over behind the last step.
  const int64_t used = (a.y.dim(0) - 1) * a.stride[0] + kt - zeros;
  return {{1, c, used, x.dim(1), x.dim(2)},
          {o, c, kt, kh, kw},
          {1, o, a.y.dim(0), a.y.dim(1), a.y.dim(2)},
          {a.stride[0], a.stride[1], a.stride[2]},
          {zeros, a.pad_top, a.pad_left},
          {0, a.pad_bottom, a.pad_right},
          tag::ndhwc,
          tag::acdeb};
}

bool try_onednn(Context& ctx, const ConvArgs& a) {
  const OnednnThreads threads(useful_threads(ctx, a.y.numel(), a.w.numel() / a.w.dim(0) / 8));
  const auto scope = ctx.arena->scope();
  const auto type = onednn_type(a.x.dtype);
  const Tensor x = joined(ctx, a);
  const Problem p = problem_of(a, x);
  const memory::desc x_desc(p.x, type, p.activations), y_desc(p.y, type, p.activations), any_w(p.w, type, tag::any);
  const memory::desc b_desc = a.b ? memory::desc({a.w.dim(0)}, memory::data_type::f32, tag::a) : memory::desc();
  const auto plan = conv_plan(x_desc, any_w, b_desc, y_desc, p.stride, p.pad_front, p.pad_back);
  if (!plan || !is_optimised(plan.impl_info_str())) return false;

  const memory scratch = onednn_scratch(ctx, plan.scratchpad_desc());
  memory w = onednn_memory(memory::desc(p.w, type, p.weights), a.w.data), packed = w;
  if (plan.weights_desc() != w.get_desc()) packed = onednn_scratch(ctx, plan.weights_desc());
  if (is_dry(ctx)) return true;

  dnnl::stream stream(onednn_engine());
  if (packed != w) dnnl::reorder(w, packed).execute(stream, w, packed);
  std::unordered_map<int, memory> tensors{{DNNL_ARG_SRC, onednn_memory(x_desc, x.data)},
                                          {DNNL_ARG_WEIGHTS, packed},
                                          {DNNL_ARG_DST, onednn_memory(y_desc, a.y.data)},
                                          {DNNL_ARG_SCRATCHPAD, scratch}};
  if (a.b) tensors.emplace(DNNL_ARG_BIAS, onednn_memory(b_desc, a.b.data));
  dnnl::convolution_forward(plan).execute(stream, tensors);
  stream.wait();
  return true;
}

}  // namespace

void conv(Context& ctx, const ConvArgs& a) {
  if (with_residual(ctx, a, conv)) return;
  if (is_linear(a)) {
    const int64_t pixels = a.x.numel() / a.x.dim(3);
    linear(ctx,
           {a.x.view({pixels, a.x.dim(3)}), a.w.view({a.w.dim(0), a.w.dim(4)}), a.b, a.y.view({pixels, a.y.dim(3)})});
    return;
  }
  if (can_fold(a)) return folded_upsample(ctx, a, conv);
  if (in_parts(ctx, a, conv)) return;
  try {
    const bool small = a.y.numel() * (a.w.numel() / a.w.dim(0)) < worth_a_primitive;
    if (small || !try_onednn(ctx, a)) plain_conv(ctx, a, linear);
  } catch (const dnnl::error& e) {
    fail(ErrorCode::device, "[conv] oneDNN failed on x {} and w {}: {}", to_string(a.x), to_string(a.w), e.what());
  }
}

}  // namespace wan::ops::cpu
