#include <cmath>

#include "core/error.h"
#include "models/dit.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"

namespace wan::models {
namespace {

using ops::Activation;

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

}  // namespace

DitTimes embed_times(Context& ctx, const DitConfig& config, const DitConditioningWeights& w,
                     std::span<const float> timesteps) {
  const auto scope = ctx.arena->scope();
  std::vector<float> rows = sinusoid(0.f, config.freq_dim);
  for (const float t : timesteps) {
    const std::vector<float> row = sinusoid(t, config.freq_dim);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  const int64_t count = static_cast<int64_t>(timesteps.size()) + 1;
  MemoryResource& memory = ctx.arena->memory();
  DitTimes times{{memory, DType::f32, {count, config.dim}}, {memory, DType::f32, {count, 6 * config.dim}}};
  const Tensor hidden = ops::linear(ctx, ops::upload(ctx, rows, {count, config.freq_dim}), w.time_in.weight,
                                    w.time_in.bias, DType::f32, Activation::silu);
  ops::linear_into(ctx, hidden, w.time_out.weight, w.time_out.bias, times.e.tensor);
  ops::linear_into(ctx, ops::silu(ctx, times.e.tensor), w.time_projection.weight, w.time_projection.bias,
                   times.projection.tensor);
  return times;
}

DitText embed_text(Context& ctx, const DitConfig& config, const DitConditioningWeights& w, const Tensor& context) {
  require(context.rank() == 2 && context.dim(1) == config.text_dim && context.dim(0) <= config.text_len,
          ErrorCode::invalid_argument, "[text states] {} came, expected at most {} rows of {}", to_string(context),
          config.text_len, config.text_dim);
  const auto scope = ctx.arena->scope();
  const Tensor padded = ctx.make(DType::f32, {config.text_len, config.text_dim});
  MemoryResource& memory = ctx.arena->memory();
  memory.fill_zero(padded.data, padded.nbytes());
  ops::copy(ctx, context, padded.slice(0, 0, context.dim(0)));

  const Tensor hidden =
      ops::linear(ctx, ops::convert(ctx, padded, ctx.compute), w.text_in.weight, w.text_in.bias, Activation::gelu_tanh);
  DitText text{{memory, ctx.compute, {config.text_len, config.dim}}, {}, {}};
  const Tensor& states = text.states.tensor;
  ops::linear_into(ctx, hidden, w.text_out.weight, w.text_out.bias, states);
  if (ctx.trace)
    ctx.tap("text_embedding.out", ops::convert(ctx, states, DType::f32).view({1, config.text_len, config.dim}));
  return text;
}

}  // namespace wan::models
