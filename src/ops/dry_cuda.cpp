#include <algorithm>

#include "core/checked.h"
#include "ops/attention_choice.h"
#include "ops/kernels.h"

namespace wan::ops {
namespace {

// What the libraries take beside our own scratch. Estimates, to be calibrated by measurements on a GPU. The plans that
// cuDNN 9.19 gives for the VAEs' convolutions on an H100 take nothing: 222 problems were looked at.
constexpr int64_t cublaslt_workspace = int64_t{32} << 20;  // of a matrix product; at most 64 MiB are allowed
constexpr int64_t attention_workspace = int64_t{16} << 20;

// The sizes that conv_cuda.cu works with.
constexpr int64_t patch_bytes = int64_t{64} << 20, strip_bytes = int64_t{64} << 20;

template <class Args>
void nothing(Context&, const Args&) {}

void take(Context& ctx, int64_t bytes) { (void)ctx.make(DType::u8, {bytes}); }

// bf16 products need no copy; f32 sums with an activation that cuBLASLt lacks do.
void linear(Context& ctx, const LinearArgs& a) {
  const auto scope = ctx.arena->scope();
  const bool plain =
      a.activation == Activation::none || (a.activation == Activation::gelu_tanh && a.y.dtype == DType::bf16);
  if (!plain) (void)ctx.make(DType::f32, a.y.shape);
  take(ctx, std::min(cublaslt_workspace, round_up(4 * a.y.numel(), int64_t{1} << 20)));
}

void attention(Context& ctx, const AttentionArgs& a) {
  const auto scope = ctx.arena->scope();
  const cuda::AttentionProblem problem{
      {a.q.dim(0), a.k.dim(0), a.q.dim(1), a.q.dim(2), a.q.stride(0), a.k.stride(0), a.v.stride(0), a.scale},
      a.q.dtype,
      static_cast<bool>(a.rel_bias)};
  const cuda::AttentionConfig config = cuda::choose_attention(problem, {8, 0});
  if (config.kernel == cuda::AttentionKernel::cudnn) return take(ctx, attention_workspace);
  const Shape score{config.heads, config.rows, round_up(a.k.dim(0), 8)};
  (void)ctx.make(DType::f32, score);
  if (a.q.dtype != DType::f32) (void)ctx.make(a.q.dtype, score);
  take(ctx, cublaslt_workspace);
}

// Frames that cuDNN reads where they lie, perhaps with the taps of the weights in another order.
bool in_place(const ConvArgs& a) {
  const bool even = a.pad_top == a.pad_bottom && a.pad_left == a.pad_right;
  return a.w.dim(1) == 3 && a.past() == 2 && a.x.dim(0) == 1 && a.stride[0] == 1 && !a.upsample && even &&
         a.w.nbytes() <= 3 * a.x.nbytes();
}

void conv(Context& ctx, const ConvArgs& a) {
  if (a.y.numel() == 0) return;
  const auto scope = ctx.arena->scope();
  const int64_t row = a.w.numel() / a.w.dim(0), before = a.time_valid ? a.past() : a.w.dim(1) - 1;
  const bool even = a.pad_top == a.pad_bottom && a.pad_left == a.pad_right;
  if (row == a.w.dim(4)) return take(ctx, cublaslt_workspace);
  if (a.x.dtype == DType::f32) {
    take(ctx, std::min(patch_bytes, a.y.numel() / a.y.dim(3) * row * size_of(a.x.dtype)));
    return take(ctx, cublaslt_workspace);
  }
  const int64_t scale = a.upsample ? 4 : 1;  // pixels of a doubled frame
  const int64_t frame = scale * a.x.nbytes() / a.x.dim(0);
  if (in_place(a))
    take(ctx, a.w.nbytes());
  else if (a.upsample && a.w.dim(1) == 1 && frame * a.x.dim(0) > strip_bytes)
    take(ctx, strip_bytes + 4 * frame / std::max<int64_t>(a.y.dim(1), 1));
  else if (before > 0 || a.upsample || !even)
    take(ctx, (before + a.x.dim(0)) * frame +
                  (even ? 0 : (a.x.dim(1) + a.x.dim(2) + 1) * 2 * a.x.dim(3) * size_of(a.x.dtype)));
}

}  // namespace

const KernelTable& dry_cuda_kernels() noexcept {
#define WAN_ENTRY(op, Args) .op = nothing,
  static constexpr KernelTable table = [] {
    KernelTable dry{.name = "dry cuda", WAN_FOR_EACH_OP(WAN_ENTRY)};
    dry.linear = linear;
    dry.attention = attention;
    dry.conv = conv;
    return dry;
  }();
#undef WAN_ENTRY
  return table;
}

}  // namespace wan::ops
