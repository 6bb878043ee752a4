#include "models/dit.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/checked.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "parallel/ulysses.h"

namespace wan::models {
namespace {

using ops::Activation;

/// Keys (normed) and values of a prompt, [text_len, C] each.
struct TextKv {
  Tensor k, v;
};

/// shift, scale and gate rows of one half of a block: [R, C] f32 each.
struct Modulation {
  Tensor shift, scale, gate;
};

/// Timesteps of the tokens: the first `split` tokens use row 0, the others the last row.
struct TimeEmbedding {
  Tensor e;           // [R, C] f32
  Tensor projection;  // [R, 6C] f32
  int64_t split = 0;
};

/// Where a rank's rows lie in the sequence.
struct Position {
  const ops::Rope3d& rope;
  parallel::TokenShare share;
};

/// The row of one step, and before it that of timestep 0 if some tokens have it.
Tensor rows_of_step(const Tensor& all, int64_t step, bool clean) {
  if (!clean) return all.slice(0, 1 + step, 1);
  Tensor rows = all.slice(0, 0, 1);
  rows.shape[0] = 2;
  rows.strides[0] *= 1 + step;
  return rows;
}

/// The time embedding's rows plus the model's learned offsets [P * C]: [R, P * C] from e [R, P * C] or [R, C].
Tensor modulate_rows(Context& ctx, const Tensor& e, const Tensor& offsets) {
  const int64_t width = e.dim(1), total = offsets.numel();
  const Tensor rows = ctx.make(DType::f32, {e.dim(0), total});
  for (int64_t r = 0; r < e.dim(0); ++r)
    for (int64_t first = 0; first < total; first += width)
      ops::combine(ctx, rows.slice(0, r, 1).slice(1, first, width).view({width}),
                   {{e.slice(0, r, 1).view({width}), 1}, {offsets.slice(0, first, width), 1}});
  return rows;
}

Modulation modulation(const Tensor& rows, int64_t half, int64_t dim) {
  const int64_t first = half * 3 * dim;
  return {rows.slice(1, first, dim), rows.slice(1, first + dim, dim), rows.slice(1, first + 2 * dim, dim)};
}

Tensor heads_of(const Tensor& x, int64_t heads) { return x.view({x.dim(0), heads, x.dim(1) / heads}); }

float attention_scale(const DitConfig& cfg) { return 1.f / std::sqrt(static_cast<float>(cfg.head_dim())); }

/// The same by the ranks that share the tokens: rows of all heads become all rows of some heads, and back. Padding is
/// never a key, and no key's neighbour.
Tensor shared_self_attention(Context& ctx, const parallel::Group& ranks, const DitAttentionWeights& w,
                             const DitConfig& cfg, const Tensor& x, const Position& at) {
  const parallel::HeadExchange exchange(ctx, ranks, cfg.heads, cfg.head_dim(), x.dim(0), x.dtype);
  const Tensor part = ctx.make(x.dtype, x.shape);
  const auto to_heads = [&](const LinearWeights& linear, const Tensor& norm) {
    ops::linear_into(ctx, x, linear.weight, linear.bias, part);
    if (norm && at.share.real > 0)
      ops::rms_norm_rope(ctx, part.slice(0, 0, at.share.real), norm, &at.rope, cfg.heads, cfg.eps, at.share.first);
    return exchange.to_heads(ctx, part);
  };
  const Tensor v = to_heads(w.v, {}), q = to_heads(w.q, w.norm_q), k = to_heads(w.k, w.norm_k);
  const auto real = [&](const Tensor& heads) { return heads.slice(0, 0, at.share.whole); };
  const Tensor y = exchange.result();
  ops::attention_into(ctx, real(q), real(k), real(v), attention_scale(cfg), {}, real(y));
  const Tensor padding = y.slice(0, at.share.whole, y.dim(0) - at.share.whole);
  if (padding.numel() > 0) ctx.arena->memory().fill_zero(padding.data, padding.nbytes());
  exchange.to_tokens(ctx, q, x);
  ops::linear_into(ctx, x, w.o.weight, w.o.bias, part);
  return part;
}

// The three parts of a block overwrite their input x, and give their result in memory that they made: at 720p each such
// tensor is 0.8 GB.
Tensor self_attention(Context& ctx, const DitAttentionWeights& w, const DitConfig& cfg, const Tensor& x,
                      const Position& at) {
  if (const parallel::Group* ranks = parallel::sequence_group(ctx))
    return shared_self_attention(ctx, *ranks, w, cfg, x, at);
  const Tensor q = ops::linear(ctx, x, w.q.weight, w.q.bias);
  const Tensor k = ops::linear(ctx, x, w.k.weight, w.k.bias);
  const Tensor v = ops::linear(ctx, x, w.v.weight, w.v.bias);
  ops::rms_norm_rope(ctx, q, w.norm_q, &at.rope, cfg.heads, cfg.eps);
  ops::rms_norm_rope(ctx, k, w.norm_k, &at.rope, cfg.heads, cfg.eps);
  ops::attention_into(ctx, heads_of(q, cfg.heads), heads_of(k, cfg.heads), heads_of(v, cfg.heads), attention_scale(cfg),
                      {}, heads_of(x, cfg.heads));
  ops::linear_into(ctx, x, w.o.weight, w.o.bias, q);
  return q;
}

Tensor cross_attention(Context& ctx, const DitAttentionWeights& w, const DitConfig& cfg, const Tensor& x,
                       const TextKv& text) {
  const Tensor q = ops::linear(ctx, x, w.q.weight, w.q.bias);
  ops::rms_norm_rope(ctx, q, w.norm_q, nullptr, cfg.heads, cfg.eps);
  ops::attention_into(ctx, heads_of(q, cfg.heads), heads_of(text.k, cfg.heads), heads_of(text.v, cfg.heads),
                      attention_scale(cfg), {}, heads_of(x, cfg.heads));
  ops::linear_into(ctx, x, w.o.weight, w.o.bias, q);
  return q;
}

void fill_text_kv(Context& ctx, const DitAttentionWeights& w, const DitConfig& cfg, const Tensor& states,
                  const TextKv& text) {
  ops::linear_into(ctx, states, w.k.weight, w.k.bias, text.k);
  ops::linear_into(ctx, states, w.v.weight, w.v.bias, text.v);
  ops::rms_norm_rope(ctx, text.k, w.norm_k, nullptr, cfg.heads, cfg.eps);
}

/// The ones that are kept, or new ones in ctx.arena.
TextKv text_kv_of_block(Context& ctx, const DitAttentionWeights& w, const DitConfig& cfg, const DitText& text,
                        int64_t block) {
  const auto i = static_cast<size_t>(block);
  if (!text.k.empty()) return {text.k[i].tensor, text.v[i].tensor};
  const Tensor& states = text.states.tensor;
  const TextKv made{ctx.make(ctx.compute, states.shape), ctx.make(ctx.compute, states.shape)};
  fill_text_kv(ctx, w, cfg, states, made);
  return made;
}

/// So many tokens at a time that the hidden layer stays in bounds: at 720p it would take 2.1 GB at once. Few and large
/// pieces, so that the matrix products lose nothing.
int64_t feed_forward_rows(const DitConfig& cfg, int64_t tokens, DType compute) {
  constexpr int64_t most_bytes = int64_t{600} << 20, multiple = 256;
  const int64_t pieces = div_up(tokens * cfg.ffn_dim * size_of(compute), most_bytes);
  return round_up(div_up(tokens, std::max<int64_t>(pieces, 1)), multiple);
}

Tensor feed_forward(Context& ctx, const DitBlockWeights& w, const DitConfig& cfg, const Tensor& x) {
  const int64_t tokens = x.dim(0), step = feed_forward_rows(cfg, tokens, ctx.compute);
  for (int64_t first = 0; first < tokens; first += step) {
    const auto scope = ctx.arena->scope();
    const Tensor part = x.slice(0, first, std::min(step, tokens - first));
    const Tensor hidden = ops::linear(ctx, part, w.ffn_up.weight, w.ffn_up.bias, Activation::gelu_tanh);
    ops::linear_into(ctx, hidden, w.ffn_down.weight, w.ffn_down.bias, part);
  }
  return x;
}

/// WanAttentionBlock.forward. x [L, C] is the f32 residual stream of this rank's tokens, updated in place.
void dit_block(Context& ctx, const DitBlockWeights& w, const DitConfig& cfg, const Tensor& x, const TimeEmbedding& time,
               const TextKv& text, const Position& at) {
  const auto block_scope = ctx.arena->scope();
  const Tensor rows = modulate_rows(ctx, time.projection, w.modulation);
  const Modulation attn = modulation(rows, 0, cfg.dim);
  const Modulation ffn = modulation(rows, 1, cfg.dim);
  const Tensor y = ops::norm_modulate(ctx, x, attn.shift, attn.scale, time.split, cfg.eps, ctx.compute);
  {
    const auto scope = ctx.arena->scope();
    const Shape row{1, cfg.dim};
    ops::gated_add_norm(ctx, x, self_attention(ctx, w.self_attn, cfg, y, at), attn.gate,
                        {w.norm3_bias.view(row), w.norm3_weight.view(row), true}, time.split, cfg.eps, y);
  }
  {
    const auto scope = ctx.arena->scope();
    ops::gated_add_norm(ctx, x, cross_attention(ctx, w.cross_attn, cfg, y, text), {}, {ffn.shift, ffn.scale},
                        time.split, cfg.eps, y);
  }
  const auto scope = ctx.arena->scope();
  ops::gated_add(ctx, x, feed_forward(ctx, w, cfg, y), ffn.gate, time.split);
}

/// Head.forward and unpatchify; f32 throughout, as upstream keeps it out of autocast. Every rank gets the whole.
void head(Context& ctx, const Dit& dit, const Tensor& x, const TimeEmbedding& time, const Position& at,
          const Tensor& out) {
  const DitConfig& cfg = dit.config;
  const Tensor rows = modulate_rows(ctx, time.e, dit.outer.head_modulation);
  const Tensor y = ops::norm_modulate(ctx, x, rows.slice(1, 0, cfg.dim), rows.slice(1, cfg.dim, cfg.dim), time.split,
                                      cfg.eps, DType::f32);
  const Tensor part = ops::linear(ctx, y, dit.outer.head.weight, dit.outer.head.bias, DType::f32);
  ops::unpatchify(ctx, parallel::gather_tokens(ctx, part, at.share), out, cfg.patch);
}

/// Shows tokens [L, C] to the trace in upstream's layout, [1, C, F, H, W].
void tap_tokens_as_video(Context& ctx, std::string_view name, const Tensor& x, const std::array<int64_t, 3>& grid) {
  const auto scope = ctx.arena->scope();
  const Tensor video = ctx.make(DType::f32, {x.dim(1), grid[0], grid[1], grid[2]});
  ops::unpatchify(ctx, x, video, {1, 1, 1});
  ctx.tap(name, video.view({1, x.dim(1), grid[0], grid[1], grid[2]}));
}

}  // namespace

int64_t dit_tokens(const DitConfig& config, const Shape& latent) noexcept {
  return latent[1] * latent[2] * latent[3] / config.patch_volume();
}

ops::Rope3d make_dit_rope(Context& ctx, const DitConfig& config, const Shape& latent) {
  const auto& patch = config.patch;
  return ops::make_rope(ctx, latent[1] / patch[0], latent[2] / patch[1], latent[3] / patch[2], config.head_dim());
}

bool keeps_text_kv(const DitConfig& config, int64_t tokens) noexcept {
  constexpr int64_t many = 32;  // then making them anew takes less than 1 % of a forward
  return tokens < many * config.text_len;
}

void keep_text_kv(Context& ctx, const Dit& dit, DitText& text) {
  text.k.clear();
  text.v.clear();
  for (int64_t i = 0; i < dit.config.layers; ++i) {
    const auto scope = ctx.arena->scope();
    const weights::Lease lease = dit.blocks->acquire(ctx, i);
    const auto w = weights::bind<DitBlockWeights>(lease.tensors(), dit.config);
    for (auto* kept : {&text.k, &text.v})
      kept->emplace_back(ctx.arena->memory(), ctx.compute, text.states.tensor.shape);
    fill_text_kv(ctx, w.cross_attn, dit.config, text.states.tensor, {text.k.back().tensor, text.v.back().tensor});
  }
}

void dit_forward(Context& ctx, const Dit& dit, const DitInput& input, const DitText& text, const Tensor& out) {
  const DitConfig& cfg = dit.config;
  const auto scope = ctx.arena->scope();
  const int64_t frames = input.latent.dim(1) / cfg.patch[0];
  const int64_t height = input.latent.dim(2) / cfg.patch[1];
  const int64_t width = input.latent.dim(3) / cfg.patch[2];

  const parallel::Group* ranks = parallel::sequence_group(ctx);
  const Position at{*input.rope, parallel::share_tokens(ranks, frames * height * width)};
  const Tensor x = ctx.make(DType::f32, {at.share.rows, cfg.dim});
  {
    const auto patch_scope = ctx.arena->scope();
    const Tensor tokens = ops::patchify(ctx, input.latent, input.condition, cfg.patch);
    ops::linear_into(ctx, tokens.slice(0, at.share.first, at.share.real), dit.outer.patch_embedding.weight,
                     dit.outer.patch_embedding.bias, x.slice(0, 0, at.share.real));
  }
  const Tensor padding = x.slice(0, at.share.real, at.share.rows - at.share.real);
  if (padding.numel() > 0) ctx.arena->memory().fill_zero(padding.data, padding.nbytes());
  const bool shown = ctx.trace && !ranks;  // tokens in whole
  if (shown) tap_tokens_as_video(ctx, "patch_embedding.out", x, {frames, height, width});
  const bool clean = input.clean_frames > 0;
  const TimeEmbedding time{rows_of_step(input.times->e.tensor, input.step, clean),
                           rows_of_step(input.times->projection.tensor, input.step, clean),
                           at.share.of_first(input.clean_frames * height * width)};
  if (ctx.trace) ctx.tap("time_projection.first_token", time.projection.slice(0, 0, 1));

  for (int64_t i = 0; i < cfg.layers; ++i) {
    ctx.check_stop();
    const auto block_scope = ctx.arena->scope();
    const weights::Lease lease = dit.blocks->acquire(ctx, i);
    const auto w = weights::bind<DitBlockWeights>(lease.tensors(), cfg);
    dit_block(ctx, w, cfg, x, time, text_kv_of_block(ctx, w.cross_attn, cfg, text, i), at);
    if (shown) ctx.tap("block" + std::to_string(i) + ".out", x.view({1, x.dim(0), x.dim(1)}));
  }
  head(ctx, dit, x, time, at, out);
}

}  // namespace wan::models
