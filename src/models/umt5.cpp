#include "models/umt5.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "models/infer.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace wan::models {
namespace {

/// position_bias[h, j - i + n - 1] = table[bucket(j - i), h]: a score's bias depends on j - i alone.
Tensor relative_bias(Context& ctx, const Umt5Config& cfg, const Tensor& table, int64_t n) {
  std::vector<int32_t> buckets;
  for (int64_t relative = -(n - 1); relative < n; ++relative)
    buckets.push_back(static_cast<int32_t>(relative_position_bucket(relative, cfg.buckets, cfg.max_distance)));
  const Tensor rows = ops::embedding(ctx, table, buckets);  // [2n-1, H]
  const Tensor bias = ctx.make(DType::f32, {cfg.heads, 2 * n - 1});
  // One frame of one token a row: to_planar is the transpose [2n-1, H] -> [H, 2n-1].
  ops::to_planar(ctx, rows.view({2 * n - 1, 1, 1, cfg.heads}), {}, {}, bias.view({cfg.heads, 2 * n - 1, 1, 1}));
  return bias;
}

/// T5Attention.forward: no scaling of the scores.
Tensor attention(Context& ctx, const Umt5BlockWeights& w, const Umt5Config& cfg, const Tensor& x) {
  const int64_t n = x.dim(0);
  const Shape heads{n, cfg.heads, cfg.attention_dim / cfg.heads};
  const Tensor q = ops::linear(ctx, x, w.q).view(heads);
  const Tensor k = ops::linear(ctx, x, w.k).view(heads);
  const Tensor v = ops::linear(ctx, x, w.v).view(heads);
  const Tensor y = ops::attention(ctx, q, k, v, 1.f, relative_bias(ctx, cfg, w.position, n));
  return ops::linear(ctx, y.view({n, cfg.attention_dim}), w.o);
}

/// T5FeedForward.forward: fc2(fc1(x) * gelu(gate(x))).
Tensor feed_forward(Context& ctx, const Umt5BlockWeights& w, const Tensor& x) {
  const Tensor gate = ops::linear(ctx, x, w.gate);
  ops::gelu_mul(ctx, gate, ops::linear(ctx, x, w.fc1));
  return ops::linear(ctx, gate, w.fc2);
}

/// T5SelfAttention.forward. x [n, C] is the residual stream, f32, updated in place.
void umt5_block(Context& ctx, const Umt5BlockWeights& w, const Umt5Config& cfg, const Tensor& x) {
  {
    const auto scope = ctx.arena->scope();
    ops::add(ctx, x, attention(ctx, w, cfg, ops::rms_norm(ctx, x, w.norm1, cfg.eps, ctx.compute)));
  }
  const auto scope = ctx.arena->scope();
  ops::add(ctx, x, feed_forward(ctx, w, ops::rms_norm(ctx, x, w.norm2, cfg.eps, ctx.compute)));
}

}  // namespace

Umt5Config infer_umt5_config(const weights::ShapeOf& shape_of, const std::string& where) {
  const ShapeReader read{shape_of, where};
  const Shape table = read("token_embedding.weight", 2);
  const Shape position = read("blocks.0.pos_embedding.embedding.weight", 2);
  Umt5Config cfg;
  cfg.vocabulary = table[0];
  cfg.dim = table[1];
  cfg.buckets = position[0];
  cfg.heads = position[1];
  cfg.attention_dim = read("blocks.0.attn.q.weight", 2)[0];
  cfg.ffn_dim = read("blocks.0.ffn.fc1.weight", 2)[0];
  cfg.layers = read.count("blocks.", ".norm1.weight");
  require(cfg.attention_dim % cfg.heads == 0 && cfg.buckets % 4 == 0, ErrorCode::bad_file,
          "[{}] {} heads and {} position buckets for an attention width of {}; expected a divisor, and a multiple of 4",
          where, cfg.heads, cfg.buckets, cfg.attention_dim);
  return cfg;
}

int64_t relative_position_bucket(int64_t relative, int64_t buckets, int64_t max_distance) {
  const int64_t half = buckets / 2, exact = half / 2;
  const int64_t sign = relative > 0 ? half : 0;
  const int64_t distance = std::abs(relative);
  if (distance < exact) return sign + distance;
  // f32 as in upstream: the truncation below decides the bucket.
  const float ratio = std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
                      static_cast<float>(std::log(static_cast<double>(max_distance) / static_cast<double>(exact)));
  const auto large = exact + static_cast<int64_t>(ratio * static_cast<float>(half - exact));
  return sign + std::min(large, half - 1);
}

std::vector<Tensor> umt5_encode(Context& ctx, const Umt5& model, const std::vector<std::vector<int32_t>>& ids) {
  std::vector<Tensor> out, residual;
  for (const auto& prompt : ids)
    out.push_back(ctx.make(DType::f32, {static_cast<int64_t>(prompt.size()), model.config.dim}));
  const auto scope = ctx.arena->scope();
  for (const auto& prompt : ids) residual.push_back(ops::embedding(ctx, model.outer.token_embedding, prompt));
  for (int64_t i = 0; i < model.config.layers; ++i) {
    ctx.check_stop();
    const weights::Lease lease = model.blocks->acquire(ctx, i);
    const auto w = weights::bind<Umt5BlockWeights>(lease.tensors(), model.config);
    for (const Tensor& x : residual) umt5_block(ctx, w, model.config, x);
  }
  for (size_t p = 0; p < ids.size(); ++p) {
    const auto norm_scope = ctx.arena->scope();
    const Tensor y = ops::rms_norm(ctx, residual[p], model.outer.norm, model.config.eps, DType::f32);
    ops::copy(ctx, y, out[p]);
  }
  return out;
}

}  // namespace wan::models
