#pragma once
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "weights/weight_spec.h"

/// The video autoencoders, upstream's Wan2_1_VAE and Wan2_2_VAE: dimensions and weights. One description serves both;
/// they differ in the nesting of names, in the patch and in 2.2's parameter-free shortcuts. See vae_stream.h for their
/// use.
namespace wan::models {

enum class VaeVersion : uint8_t { v21, v22 };

/// Residual blocks at one resolution and, except in the last stage, the change to the next one.
struct VaeStage {
  int64_t in = 0, out = 0;  // channels before and after the residual blocks
  int64_t blocks = 0;
  bool resample = false;  // halves (encoder) or doubles (decoder) height and width
  bool time = false;      // and the frames too
};

struct VaeConfig {
  VaeVersion version = VaeVersion::v21;
  int64_t z_dim = 0;
  int64_t patch = 1;           // pixels per side that are folded into channels at the image end
  std::vector<VaeStage> down;  // encoder, finest resolution first
  std::vector<VaeStage> up;    // decoder, coarsest first

  int64_t image_channels() const noexcept { return 3 * patch * patch; }
  int64_t stride_t() const noexcept;  ///< frames per latent frame after the first: 4
  int64_t stride_s() const noexcept;  ///< pixels per latent pixel: 8 or 16
  /// 4n + 1 frames have n + 1 latent frames.
  int64_t latent_frames(int64_t frames) const noexcept { return 1 + (frames - 1) / stride_t(); }
  int64_t video_frames(int64_t latent_frames) const noexcept { return 1 + (latent_frames - 1) * stride_t(); }
};

/// Dimensions from a checkpoint's tensor shapes; `where` names the checkpoint in errors. Throws Error(bad_file) where
/// nothing can be inferred or the parts contradict each other; other wrong shapes are found when the weights are bound.
VaeConfig infer_vae_config(const weights::ShapeOf& shape_of, const std::string& where);

/// Mean and standard deviation of each latent channel over upstream's training data: the DiT sees (z - mean) / std.
struct LatentStatistics {
  std::span<const float> mean, std;
};
/// Throws Error(unsupported) for other widths than 16 (Wan2.1) and 48 (Wan2.2).
LatentStatistics latent_statistics(int64_t z_dim);

struct ConvWeights {
  Tensor weight;  // [O, KT, KH, KW, I]
  Tensor bias;    // [O] f32
};

struct VaeResidualWeights {
  Tensor norm1, norm2;   // [in], [out] f32
  ConvWeights conv1;     // [out, 3, 3, 3, in]
  ConvWeights conv2;     // [out, 3, 3, 3, out]
  ConvWeights shortcut;  // [out, 1, 1, 1, in]; absent where in = out
};

struct VaeAttentionWeights {
  Tensor norm;       // [C] f32
  ConvWeights qkv;   // [3C, 1, 1, 1, C]
  ConvWeights proj;  // [C, 1, 1, 1, C]
};

struct VaeStageWeights {
  std::vector<VaeResidualWeights> blocks;
  ConvWeights space;  // [next, 1, 3, 3, out]; absent in the last stage
  ConvWeights time;   // encoder [out, 3, 1, 1, out], decoder [2 * out, 3, 1, 1, out]; absent where time stays
};

struct VaeMiddleWeights {
  VaeResidualWeights before;
  VaeAttentionWeights attention;
  VaeResidualWeights after;
};

struct VaeHeadWeights {
  Tensor norm;       // [in] f32
  ConvWeights conv;  // [out, 3, 3, 3, in]
};

struct VaeEncoderWeights {
  ConvWeights conv_in;  // [C, 3, 3, 3, 3 * patch^2]
  std::vector<VaeStageWeights> stages;
  VaeMiddleWeights middle;
  VaeHeadWeights head;  // to 2 * z_dim
  ConvWeights quant;    // [2 * z_dim, 1, 1, 1, 2 * z_dim]; rows of the mean first, then of the log variance
};

struct VaeDecoderWeights {
  ConvWeights post_quant;  // [z_dim, 1, 1, 1, z_dim]
  ConvWeights conv_in;     // [C, 3, 3, 3, z_dim]
  VaeMiddleWeights middle;
  std::vector<VaeStageWeights> stages;
  VaeHeadWeights head;  // to 3 * patch^2
};

/// The checkpoint's name of module `slot` (its residual blocks, then its resampling) of a stage: counted through
/// in 2.1, nested in 2.2. `kind` is "downsamples" or "upsamples". Ends in a dot.
std::string vae_module_name(VaeVersion version, const std::vector<VaeStage>& stages, const std::string& kind,
                            size_t stage, int64_t slot);

template <class V>
void visit_conv(V&& v, ConvWeights& w, const Shape& shape, const std::string& name) {
  v(w.weight, name + ".weight", shape, weights::WeightKind::conv);
  v(w.bias, name + ".bias", Shape{shape[0]}, weights::WeightKind::vector);
}

template <class V>
void visit_residual(V&& v, VaeResidualWeights& w, int64_t in, int64_t out, const std::string& p) {
  v(w.norm1, p + "residual.0.gamma", Shape{in, 1, 1, 1}, weights::WeightKind::vector);
  visit_conv(v, w.conv1, {out, in, 3, 3, 3}, p + "residual.2");
  v(w.norm2, p + "residual.3.gamma", Shape{out, 1, 1, 1}, weights::WeightKind::vector);
  visit_conv(v, w.conv2, {out, out, 3, 3, 3}, p + "residual.6");
  if (in != out) visit_conv(v, w.shortcut, {out, in, 1, 1, 1}, p + "shortcut");
}

template <class V>
void visit_middle(V&& v, VaeMiddleWeights& w, int64_t c, const std::string& p) {
  visit_residual(v, w.before, c, c, p + "0.");
  v(w.attention.norm, p + "1.norm.gamma", Shape{c, 1, 1}, weights::WeightKind::vector);
  visit_conv(v, w.attention.qkv, {3 * c, c, 1, 1}, p + "1.to_qkv");
  visit_conv(v, w.attention.proj, {c, c, 1, 1}, p + "1.proj");
  visit_residual(v, w.after, c, c, p + "2.");
}

template <class V>
void visit_stages(V&& v, std::vector<VaeStageWeights>& w, VaeVersion version, const std::vector<VaeStage>& stages,
                  bool decoder, const std::string& p) {
  const std::string kind = decoder ? "upsamples" : "downsamples";
  w.resize(stages.size());
  for (size_t i = 0; i < stages.size(); ++i) {
    const VaeStage& s = stages[i];
    w[i].blocks.resize(static_cast<size_t>(s.blocks));
    for (int64_t j = 0; j < s.blocks; ++j)
      visit_residual(v, w[i].blocks[static_cast<size_t>(j)], j == 0 ? s.in : s.out, s.out,
                     p + vae_module_name(version, stages, kind, i, j));
    if (!s.resample) continue;
    const std::string name = p + vae_module_name(version, stages, kind, i, s.blocks);
    visit_conv(v, w[i].space, {stages[i + 1].in, s.out, 3, 3}, name + "resample.1");
    if (s.time) visit_conv(v, w[i].time, {decoder ? 2 * s.out : s.out, s.out, 3, 1, 1}, name + "time_conv");
  }
}

template <class V>
void visit_head(V&& v, VaeHeadWeights& w, int64_t in, int64_t out, const std::string& p) {
  v(w.norm, p + "head.0.gamma", Shape{in, 1, 1, 1}, weights::WeightKind::vector);
  visit_conv(v, w.conv, {out, in, 3, 3, 3}, p + "head.2");
}

template <class V>
void visit(V&& v, VaeEncoderWeights& w, const VaeConfig& c, const std::string& p) {
  visit_conv(v, w.conv_in, {c.down.front().in, c.image_channels(), 3, 3, 3}, p + "encoder.conv1");
  visit_stages(v, w.stages, c.version, c.down, false, p + "encoder.");
  visit_middle(v, w.middle, c.down.back().out, p + "encoder.middle.");
  visit_head(v, w.head, c.down.back().out, 2 * c.z_dim, p + "encoder.");
  visit_conv(v, w.quant, {2 * c.z_dim, 2 * c.z_dim, 1, 1, 1}, p + "conv1");
}

template <class V>
void visit(V&& v, VaeDecoderWeights& w, const VaeConfig& c, const std::string& p) {
  visit_conv(v, w.post_quant, {c.z_dim, c.z_dim, 1, 1, 1}, p + "conv2");
  visit_conv(v, w.conv_in, {c.up.front().in, c.z_dim, 3, 3, 3}, p + "decoder.conv1");
  visit_middle(v, w.middle, c.up.front().in, p + "decoder.middle.");
  visit_stages(v, w.stages, c.version, c.up, true, p + "decoder.");
  visit_head(v, w.head, c.up.back().out, c.image_channels(), p + "decoder.");
}

}  // namespace wan::models
