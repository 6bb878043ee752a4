#pragma once
#include <span>

#include "core/context.h"
#include "core/tensor.h"
#include "ops/op_list.h"

/// The kernel table: one function pointer per op, one table per back end. The functions of ops/*.h check
/// their arguments, make the output and call through the table; kernels trust what they are given.
namespace wan::ops {

enum class Activation : uint8_t { none, gelu_tanh, silu };

/// y[m,n] = act(sum_k x[m,k] w[n,k] + b[n]); rows of x and y may be strided, their last dimension is dense.
struct LinearArgs {
  Tensor x;  // [M, K] f32 or bf16
  Tensor w;  // [N, K] dtype of x
  Tensor b;  // [N] f32, or absent
  Tensor y;  // [M, N] f32 or bf16
  Activation activation = Activation::none;
};

/// y = norm(x) * (1 + scale) + shift with norm(x) = (x - mean) / sqrt(var + eps) over the last dimension.
/// Rows [0, split) use row 0 of scale and shift, the others the last row. Statistics in f32 or better.
struct NormModulateArgs {
  Tensor x;             // [L, C] f32
  Tensor shift, scale;  // [R, C] f32, rows may be strided, R is 1 or 2
  Tensor y;             // [L, C] f32 or bf16
  int64_t split = 0;
  float eps = 1e-6f;
};

/// y = norm(x) * w + b, norm as above.
struct LayerNormArgs {
  Tensor x;     // [L, C] f32
  Tensor w, b;  // [C] f32
  Tensor y;     // [L, C] f32 or bf16
  float eps = 1e-6f;
};

/// y = x / sqrt(mean(x^2) + eps) * w over the last dimension (T5).
struct RmsNormArgs {
  Tensor x;  // [L, C] f32
  Tensor w;  // [C] f32
  Tensor y;  // [L, C] f32 or bf16
  float eps = 1e-6f;
};

/// y = x / max(|x|, 1e-12) * sqrt(C) * gamma, then SiLU if asked, over the channels of a channels-last tensor (VAE). y
/// may be x.
struct ChannelNormArgs {
  Tensor x;      // [N, C] f32 or bf16, N = T*H*W
  Tensor gamma;  // [C] f32
  Tensor y;      // [N, C] dtype of x
  bool silu = false;
};

/// cos and sin of a rotary embedding over (frame, height, width); one table per axis.
struct Rope3d {
  Tensor frame;   // [F, pairs_f, 2] f32: (cos, sin) of position * 10000^(-2i/d_axis)
  Tensor height;  // [H, pairs_h, 2] f32
  Tensor width;   // [W, pairs_w, 2] f32
  int64_t tokens() const noexcept { return frame.dim(0) * height.dim(0) * width.dim(0); }
};

/// In place: x = rmsnorm over the whole width of x, times w; then, if rope is given, rotate neighbouring
/// pairs (x[2i], x[2i+1]) of each head by the angle of the token's (frame, height, width). Arithmetic in f32.
struct RmsNormRopeArgs {
  Tensor x;  // [L, C] f32 or bf16
  Tensor w;  // [C] f32
  const Rope3d* rope = nullptr;
  int64_t heads = 1;
  int64_t first_token = 0;  // position of row 0 in the whole sequence
  float eps = 1e-6f;
};

/// y[i,h] = sum_j softmax_j(scale * q[i,h].k[j,h] + bias) v[j,h]. Softmax in f32. Never an Lq x Lk matrix.
/// rel_bias[h, j - i + Lq - 1] is added to the score of (i, j) where given (T5).
struct AttentionArgs {
  Tensor q;         // [Lq, H, D] f32 or bf16
  Tensor k, v;      // [Lk, H, D] dtype of q; rows may be strided, [H, D] dense
  Tensor rel_bias;  // [H, Lq + Lk - 1] f32, or absent
  Tensor y;         // [Lq, H, D] dtype of q
  float scale = 1.f;
};

/// x += y * gate (gate absent: 1), rows of gate chosen as in NormModulateArgs.
struct GatedAddArgs {
  Tensor x;     // [L, C] f32 or bf16, in place
  Tensor y;     // [L, C] f32 or bf16
  Tensor gate;  // [R, C] f32, rows may be strided, or absent
  int64_t split = 0;
};

/// x += y * gate (gate absent: 1), then z = norm(x) * (offset + scale) + shift: a gated addition and the norm that
/// follows it. Offset 1 is NormModulateArgs' norm, 0 LayerNormArgs'; `split` serves gate, scale and shift.
struct GatedAddNormArgs {
  Tensor x;             // [L, C] f32, in place
  Tensor y;             // [L, C] f32 or bf16
  Tensor gate;          // [R, C] f32, rows may be strided, or absent
  Tensor shift, scale;  // [R, C] f32, rows may be strided
  Tensor z;             // [L, C] f32 or bf16
  int64_t split = 0;
  float offset = 1.f;
  float eps = 1e-6f;
};

/// a = gelu_tanh(a) * b, in place (T5's gated feed-forward).
struct GeluMulArgs {
  Tensor a, b;  // equal shapes, f32 or bf16
};

/// y = silu(x).
struct SiluArgs {
  Tensor x, y;  // equal shapes, f32
};

/// y = x, in another dtype (f32 <-> bf16, round to nearest even) or the same.
struct ConvertArgs {
  Tensor x, y;
};

/// Sums of tensors, one after the other for each element, in one pass over memory: slot[out] = sum_i coefficient[i] *
/// slot[in[i]], accumulated in f64 (solver terms cancel) in the order given and rounded to f32. Later sums read what
/// earlier ones wrote.
struct CombineArgs {
  static constexpr int max_slots = 8, max_terms = 8, max_sums = 4;
  struct Sum {
    int out = 0, terms = 0;
    std::array<int, max_terms> in{};
    std::array<double, max_terms> coefficient{};
  };
  std::array<Tensor, max_slots> slot;  // different f32 tensors of one shape
  int slots = 0;
  std::array<Sum, max_sums> sums;
  int count = 0;

  bool writes(int s) const noexcept {
    for (int i = 0; i < count; ++i)
      if (sums[static_cast<size_t>(i)].out == s) return true;
    return false;
  }
  /// Whether its value from before is used.
  bool reads(int s) const noexcept {
    for (int i = 0; i < count; ++i) {
      const Sum& sum = sums[static_cast<size_t>(i)];
      for (int t = 0; t < sum.terms; ++t)
        if (sum.in[static_cast<size_t>(t)] == s) return true;
      if (sum.out == s) return false;
    }
    return false;
  }
};

/// y[n] = table[ids[n]].
struct EmbeddingArgs {
  Tensor table;                  // [V, C] f32, bf16 or f16
  std::span<const int32_t> ids;  // on the host
  Tensor y;                      // [n, C] f32
};

/// Tokens of a latent video: y[token(f,h,w), ((c*pt + i)*ph + j)*pw + k] = x[c, f*pt+i, h*ph+j, w*pw+k];
/// channels of x come first, then those of `extra` (the image condition).
struct PatchifyArgs {
  Tensor x;      // [C, F, H, W] f32
  Tensor extra;  // [C2, F, H, W] f32, or absent
  Tensor y;      // [L, (C + C2) * pt*ph*pw] f32 or bf16
  std::array<int64_t, 3> patch{1, 2, 2};
};

/// y[c, f*pt+i, h*ph+j, w*pw+k] = x[token(f,h,w), ((i*ph + j)*pw + k)*C + c] (upstream's unpatchify).
struct UnpatchifyArgs {
  Tensor x;  // [L, pt*ph*pw * C] f32
  Tensor y;  // [C, F, H, W] f32
  std::array<int64_t, 3> patch{1, 2, 2};
};

/// Convolution over a channels-last video. In time: `history` holds the frames before x (up to KT-1; missing
/// ones are zero), so that a clip in chunks gives what the whole clip gives; with `time_valid` no zero frames are
/// put in front (history and x must then hold at least KT frames). In space: zero padding as given. If `upsample`,
/// x and history are first doubled in height and width by nearest neighbour. `residual` is added to the result before
/// it is rounded, or after.
struct ConvArgs {
  Tensor x;         // [T, H, W, C] f32 or bf16
  Tensor history;   // [t <= KT-1, H, W, C] dtype of x, or absent; frames are dense and may lie further apart
  Tensor w;         // [O, KT, KH, KW, C] dtype of x
  Tensor b;         // [O] f32, or absent
  Tensor y;         // [T', H', W', O] dtype of x
  Tensor residual;  // [T', H', W', O] dtype of x, or absent
  std::array<int64_t, 3> stride{1, 1, 1};
  int64_t pad_top = 0, pad_bottom = 0, pad_left = 0, pad_right = 0;
  bool time_valid = false;
  bool upsample = false;
  bool newest_first = false;  // the frames of history run backwards in time

  int64_t past() const noexcept { return history ? history.dim(0) : 0; }
  /// Where frame t of the history in time order starts, in elements from history's data.
  int64_t past_offset(int64_t t) const noexcept { return (newest_first ? past() - 1 - t : t) * history.stride(0); }
};

/// VAE 2.2's parameter-free shortcuts (upstream's AvgDown3D and DupUp3D), added onto y.
struct ResampleShortcutArgs {
  Tensor x;  // [T, H, W, C] f32 or bf16
  Tensor y;  // [T', H', W', O] dtype of x; the shortcut is added to it
  int64_t factor_t = 1, factor_s = 1;
  int64_t skip_t = 0, skip_rows = 0;  // up only: frames and rows of the enlarged x that lie in front of y's
};

/// y[2t + i, h, w, c] = x[t, h, w, i*C + c], i in {0, 1}: the frames that time_conv makes.
struct InterleaveTimeArgs {
  Tensor x;  // [T, H, W, 2C] f32 or bf16
  Tensor y;  // [2T, H, W, C]
};

/// y = x, element by element, where rows lie anywhere: what goes to another rank is cut out and put together so.
struct CopyRowsArgs {
  Tensor x, y;  // [A, B, C] f32 or bf16, equal shapes and dtypes; the last dimension is dense
};

/// Planar to channels-last, with a per-channel affine map and an optional space-to-depth of `patch`:
/// y[t, h, w, (c*p + r)*p + q] = x[c, t, h*p + q, w*p + r] * scale[c] + shift[c]  (upstream's patchify: (c r q)).
struct ToChannelsLastArgs {
  Tensor x;             // [C, T, H, W] f32, may be strided (a slice in time)
  Tensor scale, shift;  // [C] f32, or absent (1, 0)
  Tensor y;             // [T, H/p, W/p, C*p*p] f32 or bf16
  int64_t patch = 1;
};

/// The inverse of the above, clamped to [-1, 1] if asked: y[c, t, h*p + q, w*p + r] = x[t, h, w, (c*p + r)*p + q] *
/// scale[c] + shift[c].
struct ToPlanarArgs {
  Tensor x;             // [T, H/p, W/p, C*p*p] f32 or bf16
  Tensor scale, shift;  // [C] f32, or absent
  Tensor y;             // [C, T, H, W] f32, may be strided (a slice in time)
  int64_t patch = 1;
  bool clamp = false;
};

/// *result = 1 if every element is finite, else 0.
struct AllFiniteArgs {
  Tensor x;  // f32
  bool* result = nullptr;
};

template <class Args>
using Kernel = void (*)(Context&, const Args&);

struct KernelTable {
  const char* name = "";
#define WAN_ENTRY(op, Args) Kernel<Args> op = nullptr;
  WAN_FOR_EACH_OP(WAN_ENTRY)
#undef WAN_ENTRY
};

/// The CPU back end: oneDNN where it is built in, plain loops for the rest.
const KernelTable& cpu_kernels() noexcept;
/// Computes nothing, but takes the scratch that the CPU back end takes: for the planner, which runs the model code on
/// memory that does not exist.
const KernelTable& dry_kernels() noexcept;
/// The same with the scratch that the CUDA back end takes, in every build; the libraries' own part is estimated.
const KernelTable& dry_cuda_kernels() noexcept;

}  // namespace wan::ops
