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
  LinearWeights patch_embedding;    // [C, in * pt*ph*pw]
  LinearWeights text_in, text_out;  // [C, text_dim], [C, C]
  LinearWeights time_in, time_out;  // [C, freq_dim], [C, C], f32
  LinearWeights time_projection;    // [6C, C], f32
  LinearWeights head;               // [pt*ph*pw * out, C], f32
  Tensor head_modulation;           // [2 * C] f32
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
  visit_linear(v, w.text_in, c.dim, c.text_dim, p + "text_embedding.0");
  visit_linear(v, w.text_out, c.dim, c.dim, p + "text_embedding.2");
  visit_linear(v, w.time_in, c.dim, c.freq_dim, p + "time_embedding.0", WeightKind::exact);
  visit_linear(v, w.time_out, c.dim, c.dim, p + "time_embedding.2", WeightKind::exact);
  visit_linear(v, w.time_projection, 6 * c.dim, c.dim, p + "time_projection.1", WeightKind::exact);
  visit_linear(v, w.head, c.patch_volume() * c.out_channels, c.dim, p + "head.head", WeightKind::exact);
  v(w.head_modulation, p + "head.modulation", Shape{1, 2, c.dim}, WeightKind::vector);
}

/// One expert: its outer weights, and where its blocks come from.
struct Dit {
  DitConfig config;
  DitOuterWeights outer;
  weights::BlockSource* blocks = nullptr;
};

/// Cross-attention's keys (normed) and values of one prompt, per block. Made once per generation and expert.
struct TextKv {
  std::vector<OwnedTensor> k, v;  // per block [text_len, C], compute dtype
};

/// Prepares a prompt for one expert. context [n, text_dim] f32 with n <= text_len is T5's output, padded
/// with zeros to text_len here and attended without a mask, as upstream does.
TextKv make_text_kv(Context& ctx, const Dit& dit, const Tensor& context);

/// The input of one forward.
/// What every forward of a run needs and none changes, on the device: made once, so that no forward waits for the host.
struct DitTables {
  ops::Rope3d rope;
  Tensor sinusoids;  ///< [1 + n, freq_dim] f32: of timestep 0, then of each of the run's timesteps
};

/// In ctx.arena, for latents of the shape [c, F, H, W].
DitTables make_dit_tables(Context& ctx, const DitConfig& config, const Shape& latent, std::span<const float> timesteps);

struct DitInput {
  Tensor latent;     // [c, F, H, W] f32
  Tensor condition;  // [in - c, F, H, W] f32, or absent
  float timestep = 0;
  int64_t clean_frames = 0;           // leading latent frames whose tokens have timestep 0 (TI2V from an image: 1)
  const DitTables* tables = nullptr;  // absent: the forward makes its own
  int64_t step = 0;                   // which of the tables' timesteps `timestep` is
};

/// One forward (WanModel.forward): writes the predicted velocity to out [out_channels, F, H, W] f32.
/// Frames, height and width must be multiples of the patch.
void dit_forward(Context& ctx, const Dit& dit, const DitInput& input, const TextKv& text, const Tensor& out);

}  // namespace wan::models
