#include "core/error.h"
#include "models/vae_stream.h"
#include "models/vae_stream_parts.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"

namespace wan::models {
namespace {

// How many stages at the start leave the frame rate alone.
size_t before_time(const std::vector<VaeStage>& stages) {
  size_t n = 0;
  while (n < stages.size() && !stages[n].time) ++n;
  return n;
}

// Frames of the input convolution and the stages. `band` is that of the image.
void expect_down(FramePools& pools, const VaeConfig& c, RowBand band, int64_t width) {
  band = expect_conv(pools, band, width, c.image_channels());
  for (const VaeStage& s : c.down) {
    for (int64_t i = 0; i < 2 * s.blocks; ++i) band = expect_conv(pools, band, width, i == 0 ? s.in : s.out);
    if (!s.resample) continue;
    band = band.halved();
    width /= 2;
  }
}

// And of the middle and the head, whole frames.
void expect_end(FramePools& pools, const VaeConfig& c, int64_t height, int64_t width) {
  constexpr int64_t convolutions = 5;
  pools.expect({1, height, width, c.down.back().out}, convolutions);
}

Affine normalise(Context& ctx, int64_t z_dim) {
  const LatentStatistics s = latent_statistics(z_dim);
  std::vector<float> scale(s.std.size()), shift(s.std.size());
  for (size_t i = 0; i < scale.size(); ++i) {
    scale[i] = 1.f / s.std[i];
    shift[i] = -s.mean[i] * scale[i];
  }
  return {ops::upload(ctx, scale, {z_dim}), ops::upload(ctx, shift, {z_dim})};
}

// The middle, the head and the latents z [z_dim, 1, h, w] of what the stages make of one latent frame; x [1, h, w, C]
// is overwritten.
void finish_latent(Context& ctx, const VaeEncoderWeights& weights, const VaeConfig& c, VaeState& state, const Tensor& x,
                   const Tensor& z) {
  const auto scope = ctx.arena->scope();
  middle_blocks(ctx, weights.middle, state, x);
  const Tensor moments = ctx.make(ctx.compute, {1, x.dim(1), x.dim(2), 2 * c.z_dim});
  head(ctx, weights.head, {}, state.head, state.pools, x, moments);
  const Affine affine = normalise(ctx, c.z_dim);
  ops::to_planar(ctx, pointwise(ctx, weights.quant, moments, c.z_dim), affine.scale, affine.shift, z);
}

// The stages on the frames of one latent frame.
struct EncoderRun {
  const VaeEncoderWeights& weights;
  const VaeConfig& config;
  VaeState& state;

  int64_t reach(size_t stage) const { return down_reach(config.down[stage], has_shortcut(config)); }
};

// What a stage gave, `band` of each frame, as the next one wants it: with rows kept of the band before.
Tensor input_of(Context& ctx, const EncoderRun& run, size_t stage, const RowBand& band, const Tensor& y) {
  if (band.all()) return y;
  const int64_t kept = band.kept(run.reach(stage));
  const Tensor x = ctx.make(y.dtype, {y.dim(0), kept + y.dim(1), y.dim(2), y.dim(3)});
  for (int64_t t = 0; t < y.dim(0); ++t) {
    const Tensor frame = x.slice(0, t, 1);
    if (y.dim(1) > 0) ops::copy(ctx, y.slice(0, t, 1), frame.slice(1, kept, y.dim(1)));
    run.state.stages[stage].input.pass(ctx, band, frame);
  }
  return x;
}

// The input convolution of one frame, [3, 1, H, W], and the first `stages` stages, which keep the frame rate, into y.
void start_frame(Context& ctx, const EncoderRun& run, size_t stages, RowBand band, const Tensor& frame,
                 const Tensor& y) {
  const VaeConfig& c = run.config;
  VaeState& state = run.state;
  const auto scope = ctx.arena->scope();
  const int64_t kept = band.kept(block_reach);
  const Tensor seen = frame.slice(2, (band.own().begin - kept) * c.patch, (kept + band.rows()) * c.patch);
  const Tensor image = ops::to_channels_last(ctx, seen, {}, {}, c.patch);
  const auto into = [&](size_t made, const Shape& shape) { return made == stages ? y : ctx.make(ctx.compute, shape); };
  Tensor x = into(0, {1, band.conv().rows(), image.dim(2), c.down.front().in});
  if (x.dim(1) > 0) causal_conv_of(ctx, run.weights.conv_in, band, state.conv_in, state.pools, image, x);
  band = band.conv();
  for (size_t i = 0; i < stages; ++i) {
    const VaeStageRun one = run_of(c, c.down, i, false, band);
    x = input_of(ctx, run, i, band, x);
    const Tensor next = into(i + 1, down_shape(one, x.shape, next_width(c.down, i)));
    down_stage(ctx, one, run.weights.stages[i], state.stages[i], state.pools, x, next);
    x = next;
    band = band.down(c.down[i]);
  }
}

// Input convolution and stages on frames [3, t, H, W], of which `band` holds the rows: [1, rows, w, C].
Tensor encode_stages(Context& ctx, const EncoderRun& run, const RowBand& image, const Tensor& frames) {
  const VaeConfig& c = run.config;
  const size_t alone = before_time(c.down);
  Shape shape{frames.dim(1), 0, frames.dim(3) / c.patch, c.down.front().in};
  RowBand band = image.conv();
  for (size_t i = 0; i < alone; ++i) {
    shape = down_shape(run_of(c, c.down, i, false), shape, next_width(c.down, i));
    band = band.down(c.down[i]);
  }
  shape[1] = band.rows();
  Tensor x = ctx.make(ctx.compute, shape);
  for (int64_t t = 0; t < frames.dim(1); ++t)
    start_frame(ctx, run, alone, image, frames.slice(1, t, 1), x.slice(0, t, 1));
  for (size_t i = alone; i < c.down.size(); ++i) {
    const VaeStageRun one = run_of(c, c.down, i, run.state.first, band);
    x = input_of(ctx, run, i, band, x);
    const Tensor y = ctx.make(ctx.compute, down_shape(one, x.shape, next_width(c.down, i)));
    down_stage(ctx, one, run.weights.stages[i], run.state.stages[i], run.state.pools, x, y);
    x = y;
    band = band.down(c.down[i]);
  }
  return x;
}

void check_encode(const VaeConfig& config, int64_t frames, const Tensor& z) {
  require(frames > 0 && (frames - 1) % config.stride_t() == 0, ErrorCode::invalid_argument,
          "[VAE encoder] {} frames, expected a multiple of {} plus 1", frames, config.stride_t());
  require(z.rank() == 4 && z.dim(1) == config.latent_frames(frames), ErrorCode::invalid_argument,
          "[VAE encoder] z is {}, expected f32 [{}, {}, h, w]", to_string(z), config.z_dim,
          config.latent_frames(frames));
}

// The stages in one band after another, then the rest in whole frames.
void encode_in(Context& ctx, const std::vector<RowBand>& plan, const VaeEncoderWeights& weights, const VaeConfig& c,
               int64_t frames, const FrameSource& source, const Tensor& z) {
  const int64_t height = z.dim(2) * c.stride_s(), width = z.dim(3) * c.stride_s();
  const auto scope = ctx.arena->scope();
  const Tensor made = ctx.make(ctx.compute, {z.dim(1), z.dim(2), z.dim(3), c.down.back().out});
  {
    VaeState state(c.down);
    state.keep_rows_down(c.down, has_shortcut(c), frames);
    for (const RowBand& band : plan) {
      state.start_band();
      expect_down(state.pools, c, band, width / c.patch);
      RowBand latent = band.conv();
      for (const VaeStage& s : c.down) latent = latent.down(s);
      for (int64_t t = 0, first = 0; t < z.dim(1); ++t) {
        const auto one = ctx.arena->scope();
        const Tensor chunk = ctx.make(DType::f32, {3, state.first ? 1 : c.stride_t(), height, width});
        source(first, chunk);
        const Tensor x = encode_stages(ctx, {weights, c, state}, band, chunk);
        ops::copy(ctx, x, made.slice(0, t, 1).slice(1, latent.own().begin, latent.rows()));
        state.first = false;
        first += chunk.dim(1);
      }
    }
  }
  VaeState state(c.down);
  expect_end(state.pools, c, z.dim(2), z.dim(3));
  for (int64_t t = 0; t < z.dim(1); ++t) finish_latent(ctx, weights, c, state, made.slice(0, t, 1), z.slice(1, t, 1));
}

}  // namespace

VaeEncoder::VaeEncoder(const VaeEncoderWeights& weights, const VaeConfig& config, int64_t height, int64_t width)
    : weights_(&weights), config_(&config), height_(height), width_(width), state_(config.down) {
  const int64_t s = config.stride_s();
  require(height > 0 && width > 0 && height % s == 0 && width % s == 0, ErrorCode::invalid_argument,
          "[VAE encoder] frames of {} x {}, expected multiples of {}", height, width, s);
  expect_down(state_.pools, config, {.height = height / config.patch}, width / config.patch);
  expect_end(state_.pools, config, height / s, width / s);
}

void VaeEncoder::encode_next(Context& ctx, const Tensor& frames, const Tensor& z) {
  const VaeConfig& c = *config_;
  const int64_t s = c.stride_s();
  check_clip("VAE encoder", "frames", frames, {3, next_frames(), height_, width_});
  check_clip("VAE encoder", "z", z, {c.z_dim, 1, height_ / s, width_ / s});
  const auto scope = ctx.arena->scope();
  const Tensor x = encode_stages(ctx, {*weights_, c, state_}, {.height = height_ / c.patch}, frames);
  finish_latent(ctx, *weights_, c, state_, x, z);
  state_.first = false;
}

void encode(Context& ctx, const VaeEncoderWeights& weights, const VaeConfig& config, int64_t frames,
            const FrameSource& source, const Tensor& z) {
  check_encode(config, frames, z);
  const int64_t height = z.dim(2) * config.stride_s(), width = z.dim(3) * config.stride_s();
  VaeEncoder encoder(weights, config, height, width);
  for (int64_t t = 0, first = 0; t < z.dim(1); ++t) {
    const auto scope = ctx.arena->scope();
    const Tensor chunk = ctx.make(DType::f32, {3, encoder.next_frames(), height, width});
    source(first, chunk);
    encoder.encode_next(ctx, chunk, z.slice(1, t, 1));
    first += chunk.dim(1);
  }
}

void encode_bands(Context& ctx, const VaeEncoderWeights& weights, const VaeConfig& config, int64_t frames,
                  const FrameSource& source, const Tensor& z, int64_t bands) {
  check_encode(config, frames, z);
  const std::vector<RowBand> plan = plan_encoder_bands(config.down, z.dim(2), bands);
  if (plan.size() > 1) return encode_in(ctx, plan, weights, config, frames, source, z);
  encode(ctx, weights, config, frames, source, z);
}

}  // namespace wan::models
