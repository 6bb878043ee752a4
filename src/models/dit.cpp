#include "models/dit.h"

#include <cmath>
#include <string>

#include "core/error.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/norm.h"

namespace wan::models {
namespace {

using ops::Activation;

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

/// sinusoidal_embedding_1d: [cos(t w_i), sin(t w_i)], w_i = 10000^(-i/half), in f64, rounded to f32.
std::vector<float> sinusoid(float timestep, int64_t freq_dim) {
  const int64_t half = freq_dim / 2;
  std::vector<float> row(static_cast<size_t>(freq_dim));
  for (int64_t i = 0; i < half; ++i) {
    const double angle = timestep * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half));
    row[static_cast<size_t>(i)] = static_cast<float>(std::cos(angle));
    row[static_cast<size_t>(half + i)] = static_cast<float>(std::sin(angle));
  }
  return row;
}

/// One row per distinct timestep; upstream expands it to one per token.
TimeEmbedding embed_time(Context& ctx, const Dit& dit, const Tensor& sinusoids, int64_t step, int64_t clean_tokens) {
  const Tensor now = sinusoids.slice(0, 1 + step, 1);
  Tensor frequencies = now;
  if (clean_tokens > 0) {
    frequencies = ctx.make(DType::f32, {2, dit.config.freq_dim});
    ops::copy(ctx, sinusoids.slice(0, 0, 1), frequencies.slice(0, 0, 1));
    ops::copy(ctx, now, frequencies.slice(0, 1, 1));
  }

  TimeEmbedding t;
  t.split = clean_tokens;
  const Tensor hidden =
      ops::linear(ctx, frequencies, dit.outer.time_in.weight, dit.outer.time_in.bias, DType::f32, Activation::silu);
  t.e = ops::linear(ctx, hidden, dit.outer.time_out.weight, dit.outer.time_out.bias, DType::f32);
  t.projection = ops::linear(ctx, ops::silu(ctx, t.e), dit.outer.time_projection.weight, dit.outer.time_projection.bias,
                             DType::f32);
  return t;
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

// The three parts of a block overwrite their input x, and give their result in memory that they made: at 720p each such
// tensor is 0.8 GB.
Tensor self_attention(Context& ctx, const DitAttentionWeights& w, const DitConfig& cfg, const Tensor& x,
                      const ops::Rope3d& rope) {
  const Tensor q = ops::linear(ctx, x, w.q.weight, w.q.bias);
  const Tensor k = ops::linear(ctx, x, w.k.weight, w.k.bias);
  const Tensor v = ops::linear(ctx, x, w.v.weight, w.v.bias);
  ops::rms_norm_rope(ctx, q, w.norm_q, &rope, cfg.heads, cfg.eps);
  ops::rms_norm_rope(ctx, k, w.norm_k, &rope, cfg.heads, cfg.eps);
  ops::attention_into(ctx, heads_of(q, cfg.heads), heads_of(k, cfg.heads), heads_of(v, cfg.heads), attention_scale(cfg),
                      {}, heads_of(x, cfg.heads));
  ops::linear_into(ctx, x, w.o.weight, w.o.bias, q);
  return q;
}

Tensor cross_attention(Context& ctx, const DitAttentionWeights& w, const DitConfig& cfg, const Tensor& x,
                       const Tensor& text_k, const Tensor& text_v) {
  const Tensor q = ops::linear(ctx, x, w.q.weight, w.q.bias);
  ops::rms_norm_rope(ctx, q, w.norm_q, nullptr, cfg.heads, cfg.eps);
  ops::attention_into(ctx, heads_of(q, cfg.heads), heads_of(text_k, cfg.heads), heads_of(text_v, cfg.heads),
                      attention_scale(cfg), {}, heads_of(x, cfg.heads));
  ops::linear_into(ctx, x, w.o.weight, w.o.bias, q);
  return q;
}

Tensor feed_forward(Context& ctx, const DitBlockWeights& w, const Tensor& x) {
  const Tensor hidden = ops::linear(ctx, x, w.ffn_up.weight, w.ffn_up.bias, Activation::gelu_tanh);
  ops::linear_into(ctx, hidden, w.ffn_down.weight, w.ffn_down.bias, x);
  return x;
}

/// WanAttentionBlock.forward. x [L, C] is the f32 residual stream, updated in place.
void dit_block(Context& ctx, const DitBlockWeights& w, const DitConfig& cfg, const Tensor& x, const TimeEmbedding& time,
               const Tensor& text_k, const Tensor& text_v, const ops::Rope3d& rope) {
  const auto block_scope = ctx.arena->scope();
  const Tensor rows = modulate_rows(ctx, time.projection, w.modulation);
  const Modulation attn = modulation(rows, 0, cfg.dim);
  const Modulation ffn = modulation(rows, 1, cfg.dim);
  const Tensor y = ops::norm_modulate(ctx, x, attn.shift, attn.scale, time.split, cfg.eps, ctx.compute);
  {
    const auto scope = ctx.arena->scope();
    const Shape row{1, cfg.dim};
    ops::gated_add_norm(ctx, x, self_attention(ctx, w.self_attn, cfg, y, rope), attn.gate,
                        {w.norm3_bias.view(row), w.norm3_weight.view(row), true}, time.split, cfg.eps, y);
  }
  {
    const auto scope = ctx.arena->scope();
    ops::gated_add_norm(ctx, x, cross_attention(ctx, w.cross_attn, cfg, y, text_k, text_v), {}, {ffn.shift, ffn.scale},
                        time.split, cfg.eps, y);
  }
  const auto scope = ctx.arena->scope();
  ops::gated_add(ctx, x, feed_forward(ctx, w, y), ffn.gate, time.split);
}

/// Head.forward and unpatchify; f32 throughout, as upstream keeps it out of autocast.
void head(Context& ctx, const Dit& dit, const Tensor& x, const TimeEmbedding& time, const Tensor& out) {
  const DitConfig& cfg = dit.config;
  const Tensor rows = modulate_rows(ctx, time.e, dit.outer.head_modulation);
  const Tensor y = ops::norm_modulate(ctx, x, rows.slice(1, 0, cfg.dim), rows.slice(1, cfg.dim, cfg.dim), time.split,
                                      cfg.eps, DType::f32);
  ops::unpatchify(ctx, ops::linear(ctx, y, dit.outer.head.weight, dit.outer.head.bias, DType::f32), out, cfg.patch);
}

/// Shows tokens [L, C] to the trace in upstream's layout, [1, C, F, H, W].
void tap_tokens_as_video(Context& ctx, std::string_view name, const Tensor& x, const std::array<int64_t, 3>& grid) {
  const auto scope = ctx.arena->scope();
  const Tensor video = ctx.make(DType::f32, {x.dim(1), grid[0], grid[1], grid[2]});
  ops::unpatchify(ctx, x, video, {1, 1, 1});
  ctx.tap(name, video.view({1, x.dim(1), grid[0], grid[1], grid[2]}));
}

}  // namespace

TextKv make_text_kv(Context& ctx, const Dit& dit, const Tensor& context) {
  const DitConfig& cfg = dit.config;
  require(context.rank() == 2 && context.dim(1) == cfg.text_dim && context.dim(0) <= cfg.text_len,
          ErrorCode::invalid_argument, "[text states] {} came, expected at most {} rows of {}", to_string(context),
          cfg.text_len, cfg.text_dim);
  const auto scope = ctx.arena->scope();
  const Tensor padded = ctx.make(DType::f32, {cfg.text_len, cfg.text_dim});
  MemoryResource& memory = ctx.arena->memory();
  memory.fill_zero(padded.data, padded.nbytes());
  ops::copy(ctx, context, padded.slice(0, 0, context.dim(0)));

  const Tensor hidden = ops::linear(ctx, ops::convert(ctx, padded, ctx.compute), dit.outer.text_in.weight,
                                    dit.outer.text_in.bias, Activation::gelu_tanh);
  const Tensor states = ops::linear(ctx, hidden, dit.outer.text_out.weight, dit.outer.text_out.bias);
  if (ctx.trace) ctx.tap("text_embedding.out", ops::convert(ctx, states, DType::f32).view({1, cfg.text_len, cfg.dim}));

  TextKv text;
  for (int64_t i = 0; i < cfg.layers; ++i) {
    const auto block_scope = ctx.arena->scope();
    const weights::Lease lease = dit.blocks->acquire(ctx, i);
    const auto w = weights::bind<DitBlockWeights>(lease.tensors(), cfg);
    text.k.emplace_back(memory, ctx.compute, Shape{cfg.text_len, cfg.dim});
    text.v.emplace_back(memory, ctx.compute, Shape{cfg.text_len, cfg.dim});
    ops::linear_into(ctx, states, w.cross_attn.k.weight, w.cross_attn.k.bias, text.k.back().tensor);
    ops::linear_into(ctx, states, w.cross_attn.v.weight, w.cross_attn.v.bias, text.v.back().tensor);
    ops::rms_norm_rope(ctx, text.k.back().tensor, w.cross_attn.norm_k, nullptr, cfg.heads, cfg.eps);
  }
  return text;
}

DitTables make_dit_tables(Context& ctx, const DitConfig& config, const Shape& latent,
                          std::span<const float> timesteps) {
  std::vector<float> rows = sinusoid(0.f, config.freq_dim);
  for (const float t : timesteps) {
    const std::vector<float> row = sinusoid(t, config.freq_dim);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  const auto& patch = config.patch;
  return {ops::make_rope(ctx, latent[1] / patch[0], latent[2] / patch[1], latent[3] / patch[2], config.head_dim()),
          ops::upload(ctx, rows, {static_cast<int64_t>(timesteps.size()) + 1, config.freq_dim})};
}

void dit_forward(Context& ctx, const Dit& dit, const DitInput& input, const TextKv& text, const Tensor& out) {
  const DitConfig& cfg = dit.config;
  const auto scope = ctx.arena->scope();
  const int64_t frames = input.latent.dim(1) / cfg.patch[0];
  const int64_t height = input.latent.dim(2) / cfg.patch[1];
  const int64_t width = input.latent.dim(3) / cfg.patch[2];

  const Tensor x = ctx.make(DType::f32, {frames * height * width, cfg.dim});
  {
    const auto patch_scope = ctx.arena->scope();
    const Tensor tokens = ops::patchify(ctx, input.latent, input.condition, cfg.patch);
    ops::linear_into(ctx, tokens, dit.outer.patch_embedding.weight, dit.outer.patch_embedding.bias, x);
  }
  if (ctx.trace) tap_tokens_as_video(ctx, "patch_embedding.out", x, {frames, height, width});
  const DitTables tables =
      input.tables ? *input.tables : make_dit_tables(ctx, cfg, input.latent.shape, {&input.timestep, 1});
  const TimeEmbedding time =
      embed_time(ctx, dit, tables.sinusoids, input.tables ? input.step : 0, input.clean_frames * height * width);
  if (ctx.trace) ctx.tap("time_projection.first_token", time.projection.slice(0, 0, 1));

  for (int64_t i = 0; i < cfg.layers; ++i) {
    ctx.check_stop();
    const weights::Lease lease = dit.blocks->acquire(ctx, i);
    const size_t layer = static_cast<size_t>(i);
    dit_block(ctx, weights::bind<DitBlockWeights>(lease.tensors(), cfg), cfg, x, time, text.k[layer].tensor,
              text.v[layer].tensor, tables.rope);
    if (ctx.trace) ctx.tap("block" + std::to_string(i) + ".out", x.view({1, x.dim(0), x.dim(1)}));
  }
  head(ctx, dit, x, time, out);
}

}  // namespace wan::models
