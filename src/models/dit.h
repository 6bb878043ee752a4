#pragma once
#include <array>
#include <span>
#include <vector>

#include "core/context.h"
#include "ops/kernels.h"
#include "weights/block_source.h"
#include "weights/weight_spec.h"

/// The diffusion transformer, upstream's WanModel. All functions work on one sample, without a batch dimension.
namespace wan::models {

struct DitConfig {
  int64_t dim = 0, ffn_dim = 0, heads = 0, layers = 0;
  int64_t in_channels = 0, out_channels = 0;  // in_channels counts the image condition too
  int64_t text_dim = 0, text_len = 512, freq_dim = 256;
  std::array<int64_t, 3> patch{1, 2, 2};
  float eps = 1e-6f;
  int64_t head_dim() const noexcept { return dim / heads; }
  int64_t patch_volume() const noexcept { return patch[0] * patch[1] * patch[2]; }
};

/// What config.json alone knows; every other dimension comes from the tensors' shapes.
struct DitHints {
  int64_t heads = 0, text_len = 512;
  float eps = 1e-6f;
  std::array<int64_t, 3> patch{1, 2, 2};
};

/// Dimensions from a checkpoint's tensor shapes. `where` names the checkpoint in errors.
/// Throws Error(bad_file) for tensors without which nothing can be inferred and for shapes that contradict each other.
DitConfig infer_dit_config(const weights::ShapeOf& shape_of, const DitHints& hints, const std::string& where);

struct LinearWeights {
  Tensor weight;  // [N, K]
  Tensor bias;    // [N] f32
};

struct DitAttentionWeights {
  LinearWeights q, k, v, o;  // [C, C]
  Tensor norm_q, norm_k;     // [C] f32
};

struct DitBlockWeights {
  DitAttentionWeights self_attn, cross_attn;
  Tensor norm3_weight, norm3_bias;  // [C] f32
  LinearWeights ffn_up, ffn_down;   // [F, C], [C, F]
  Tensor modulation;                // [6 * C] f32
};

struct DitOuterWeights {
  LinearWeights patch_embedding;  // [C, in * pt*ph*pw]
  LinearWeights head;             // [pt*ph*pw * out, C], f32
  Tensor head_modulation;         // [2 * C] f32
};

/// What only embed_times and embed_text need, once a run: 0.8 GB of A14B that no forward has to keep.
struct DitConditioningWeights {
  LinearWeights text_in, text_out;  // [C, text_dim], [C, C]
  LinearWeights time_in, time_out;  // [C, freq_dim], [C, C], f32
  LinearWeights time_projection;    // [6C, C], f32
};

template <class V>
void visit_linear(V&& v, LinearWeights& w, int64_t out, int64_t in, const std::string& name,
                  weights::WeightKind kind = weights::WeightKind::matrix) {
  v(w.weight, name + ".weight", Shape{out, in}, kind);
  v(w.bias, name + ".bias", Shape{out}, weights::WeightKind::vector);
}

template <class V>
void visit(V&& v, DitAttentionWeights& w, const DitConfig& c, const std::string& p) {
  visit_linear(v, w.q, c.dim, c.dim, p + "q");
  visit_linear(v, w.k, c.dim, c.dim, p + "k");
  visit_linear(v, w.v, c.dim, c.dim, p + "v");
  visit_linear(v, w.o, c.dim, c.dim, p + "o");
  v(w.norm_q, p + "norm_q.weight", Shape{c.dim}, weights::WeightKind::vector);
  v(w.norm_k, p + "norm_k.weight", Shape{c.dim}, weights::WeightKind::vector);
}

template <class V>
void visit(V&& v, DitBlockWeights& w, const DitConfig& c, const std::string& p) {
  using weights::WeightKind;
  visit(v, w.self_attn, c, p + "self_attn.");
  visit(v, w.cross_attn, c, p + "cross_attn.");
  v(w.norm3_weight, p + "norm3.weight", Shape{c.dim}, WeightKind::vector);
  v(w.norm3_bias, p + "norm3.bias", Shape{c.dim}, WeightKind::vector);
  visit_linear(v, w.ffn_up, c.ffn_dim, c.dim, p + "ffn.0");
  visit_linear(v, w.ffn_down, c.dim, c.ffn_dim, p + "ffn.2");
  v(w.modulation, p + "modulation", Shape{1, 6, c.dim}, WeightKind::vector);
}

template <class V>
void visit(V&& v, DitOuterWeights& w, const DitConfig& c, const std::string& p) {
  using weights::WeightKind;
  v(w.patch_embedding.weight, p + "patch_embedding.weight",
    Shape{c.dim, c.in_channels, c.patch[0], c.patch[1], c.patch[2]}, WeightKind::matrix);
  v(w.patch_embedding.bias, p + "patch_embedding.bias", Shape{c.dim}, WeightKind::vector);
  visit_linear(v, w.head, c.patch_volume() * c.out_channels, c.dim, p + "head.head", WeightKind::exact);
  v(w.head_modulation, p + "head.modulation", Shape{1, 2, c.dim}, WeightKind::vector);
}

template <class V>
void visit(V&& v, DitConditioningWeights& w, const DitConfig& c, const std::string& p) {
  using weights::WeightKind;
  visit_linear(v, w.text_in, c.dim, c.text_dim, p + "text_embedding.0");
  visit_linear(v, w.text_out, c.dim, c.dim, p + "text_embedding.2");
  visit_linear(v, w.time_in, c.dim, c.freq_dim, p + "time_embedding.0", WeightKind::exact);
  visit_linear(v, w.time_out, c.dim, c.dim, p + "time_embedding.2", WeightKind::exact);
  visit_linear(v, w.time_projection, 6 * c.dim, c.dim, p + "time_projection.1", WeightKind::exact);
}

/// One expert: its outer weights, and where its blocks come from.
struct Dit {
  DitConfig config;
  DitOuterWeights outer;
  weights::BlockSource* blocks = nullptr;
};

/// The time embedding of all timesteps of a run: one row each, for all tokens (upstream expands it to one per token).
struct DitTimes {
  OwnedTensor e;           // [1 + n, C] f32: of timestep 0, then of each of the run's timesteps
  OwnedTensor projection;  // [1 + n, 6C] f32
};
DitTimes embed_times(Context& ctx, const DitConfig& config, const DitConditioningWeights& weights,
                     std::span<const float> timesteps);

/// A prompt as an expert's cross-attention sees it. Keys (normed) and values of every block are kept where that saves
/// work worth having; absent, each block makes them anew.
struct DitText {
  OwnedTensor states;             // [text_len, C] compute dtype
  std::vector<OwnedTensor> k, v;  // per block [text_len, C] compute dtype, or empty
};

/// context [n, text_dim] f32 with n <= text_len is T5's output, padded with zeros to text_len here and attended without
/// a mask, as upstream does.
DitText embed_text(Context& ctx, const DitConfig& config, const DitConditioningWeights& weights, const Tensor& context);
/// Whether keys and values of a prompt are worth their memory (0.42 GB of A14B a prompt) for forwards of so many
/// tokens: making them costs about text_len / tokens of a block's other work.
bool keeps_text_kv(const DitConfig& config, int64_t tokens) noexcept;
/// Makes them for all blocks.
void keep_text_kv(Context& ctx, const Dit& dit, DitText& text);

/// Tokens of a latent [c, F, H, W].
int64_t dit_tokens(const DitConfig& config, const Shape& latent) noexcept;
/// In ctx.arena, for latents of the shape [c, F, H, W].
ops::Rope3d make_dit_rope(Context& ctx, const DitConfig& config, const Shape& latent);

/// The input of one forward. Nothing in it makes a forward wait for the host.
struct DitInput {
  Tensor latent;     // [c, F, H, W] f32
  Tensor condition;  // [in - c, F, H, W] f32, or absent
  const DitTimes* times = nullptr;
  int64_t step = 0;          // which of the times
  int64_t clean_frames = 0;  // leading latent frames whose tokens have timestep 0 (TI2V from an image: 1)
  const ops::Rope3d* rope = nullptr;
};

/// One forward (WanModel.forward): writes the predicted velocity to out [out_channels, F, H, W] f32, on every rank of
/// ctx's mesh that shares its tokens.
/// Frames, height and width must be multiples of the patch.
void dit_forward(Context& ctx, const Dit& dit, const DitInput& input, const DitText& text, const Tensor& out);

}  // namespace wan::models
