#pragma once
#include <vector>

#include "core/context.h"
#include "weights/block_source.h"
#include "weights/weight_spec.h"

/// The umT5 text encoder, upstream's T5Encoder with shared_pos=False.
namespace wan::models {

struct Umt5Config {
  int64_t vocabulary = 0, dim = 0, attention_dim = 0, ffn_dim = 0, heads = 0, layers = 0;
  int64_t buckets = 32, max_distance = 128;
  float eps = 1e-6f;
};

/// Dimensions from a checkpoint's tensor shapes. Throws Error(bad_file); `where` names the checkpoint.
Umt5Config infer_umt5_config(const weights::ShapeOf& shape_of, const std::string& where);

struct Umt5BlockWeights {
  Tensor norm1, norm2;    // [C] f32
  Tensor q, k, v, o;      // [A, C], o [C, A]
  Tensor gate, fc1, fc2;  // [F, C], [F, C], [C, F]
  Tensor position;        // [buckets, heads] f32
};

struct Umt5OuterWeights {
  Tensor token_embedding;  // [V, C] in the file's dtype
  Tensor norm;             // [C] f32
};

template <class V>
void visit(V&& v, Umt5BlockWeights& w, const Umt5Config& c, const std::string& p) {
  using weights::WeightKind;
  v(w.norm1, p + "norm1.weight", Shape{c.dim}, WeightKind::vector);
  v(w.q, p + "attn.q.weight", Shape{c.attention_dim, c.dim}, WeightKind::matrix);
  v(w.k, p + "attn.k.weight", Shape{c.attention_dim, c.dim}, WeightKind::matrix);
  v(w.v, p + "attn.v.weight", Shape{c.attention_dim, c.dim}, WeightKind::matrix);
  v(w.o, p + "attn.o.weight", Shape{c.dim, c.attention_dim}, WeightKind::matrix);
  v(w.norm2, p + "norm2.weight", Shape{c.dim}, WeightKind::vector);
  v(w.gate, p + "ffn.gate.0.weight", Shape{c.ffn_dim, c.dim}, WeightKind::matrix);
  v(w.fc1, p + "ffn.fc1.weight", Shape{c.ffn_dim, c.dim}, WeightKind::matrix);
  v(w.fc2, p + "ffn.fc2.weight", Shape{c.dim, c.ffn_dim}, WeightKind::matrix);
  v(w.position, p + "pos_embedding.embedding.weight", Shape{c.buckets, c.heads}, WeightKind::exact);
}

template <class V>
void visit(V&& v, Umt5OuterWeights& w, const Umt5Config& c, const std::string& p) {
  v(w.token_embedding, p + "token_embedding.weight", Shape{c.vocabulary, c.dim}, weights::WeightKind::table);
  v(w.norm, p + "norm.weight", Shape{c.dim}, weights::WeightKind::vector);
}

struct Umt5 {
  Umt5Config config;
  Umt5OuterWeights outer;
  weights::BlockSource* blocks = nullptr;
};

/// The bucket of a relative position (key - query), T5RelativeEmbedding._relative_position_bucket, bidirectional.
int64_t relative_position_bucket(int64_t relative, int64_t buckets, int64_t max_distance);

/// Encodes prompts together, so that each block's weights are read once. ids[p] are the tokens of prompt p without
/// padding (upstream pads to 512, masks, and trims: the same numbers). Gives out[p] [ids[p].size(), C] f32, made in
/// ctx.arena. Throws Error(invalid_argument) for an id outside the vocabulary.
std::vector<Tensor> umt5_encode(Context& ctx, const Umt5& model, const std::vector<std::vector<int32_t>>& ids);

}  // namespace wan::models
