#include "models/vae_stream.h"

#include "core/error.h"
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

// The width of what a stage gives.
int64_t next_width(const std::vector<VaeStage>& stages, size_t i) {
  return stages[i].resample ? stages[i + 1].in : stages[i].out;
}

// Announces the frames that the convolutions over three frames will keep. `frame` [1, H, W, C] is the first one's
// input, here and below.
void expect_middle(FramePools& pools, const Shape& frame, int64_t channels) {
  constexpr int64_t middle = 4;  // two residual blocks
  pools.expect(frame, 1);
  pools.expect({frame[0], frame[1], frame[2], channels}, middle);
}

// Frames of the decoder's stages and head. `band` is that of the first stage's input.
void expect_up(FramePools& pools, const std::vector<VaeStage>& stages, RowBand band, int64_t width) {
  const auto expect = [&](int64_t channels) {
    const ZeroRows zeros = band.zeros();
    const int64_t rows = zeros.above + band.kept(block_reach) + band.rows() + zeros.below;
    if (!band.done()) pools.expect({1, rows, width, channels}, 1, zeros);
    band = band.conv();
  };
  for (const VaeStage& s : stages) {
    for (int64_t i = 0; i < 2 * s.blocks; ++i) expect(i == 0 ? s.in : s.out);
    if (!s.resample) continue;
    band = band.doubled();
    width *= 2;
  }
  expect(stages.back().out);
}

void expect_down(FramePools& pools, const std::vector<VaeStage>& stages, Shape frame) {
  const auto expect = [&](int64_t channels, int64_t windows) {
    frame[3] = channels;
    pools.expect(frame, windows);
  };
  expect(frame[3], 1);
  for (const VaeStage& s : stages) {
    expect(s.in, 1);
    expect(s.out, 2 * s.blocks - 1);
    if (!s.resample) continue;
    frame[1] /= 2;
    frame[2] /= 2;
  }
  constexpr int64_t middle_and_head = 5;
  expect(stages.back().out, middle_and_head);
}

bool has_shortcut(const VaeConfig& c) { return c.version == VaeVersion::v22; }

VaeStageRun run_of(const VaeConfig& c, const std::vector<VaeStage>& stages, size_t i, bool first,
                   const RowBand& band = {}) {
  return {stages[i], has_shortcut(c), first, band};
}

// The DiT's latents are (z - mean) / std.
struct Affine {
  Tensor scale, shift;  // [z_dim] f32
};

Affine denormalise(Context& ctx, int64_t z_dim) {
  const LatentStatistics s = latent_statistics(z_dim);
  return {ops::upload(ctx, s.std, {z_dim}), ops::upload(ctx, s.mean, {z_dim})};
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

void check_clip(const char* where, const char* name, const Tensor& t, const Shape& expected) {
  require(t && t.dtype == DType::f32 && t.shape == expected, ErrorCode::invalid_argument,
          "[{}] {} is {}, expected f32 {}", where, name, to_string(t), to_string(expected));
}

void check_latents(const Tensor& z, const VaeConfig& config) {
  require(z.rank() == 4 && z.dtype == DType::f32 && z.dim(0) == config.z_dim && z.numel() > 0,
          ErrorCode::invalid_argument, "[VAE decoder] z is {}, expected f32 [{}, T, h, w]", to_string(z), config.z_dim);
}

// One latent frame z [z_dim, 1, h, w] up to and including the middle, x [1, h, w, C].
void start_frame(Context& ctx, const VaeDecoderWeights& weights, const VaeConfig& c, VaeState& state, const Tensor& z,
                 const Tensor& x) {
  const auto scope = ctx.arena->scope();
  const Affine affine = denormalise(ctx, c.z_dim);
  const Tensor latent = pointwise(ctx, weights.post_quant, ops::to_channels_last(ctx, z, affine.scale, affine.shift));
  causal_conv_of(ctx, weights.conv_in, state.conv_in, state.pools, latent, x);
  middle_blocks(ctx, weights.middle, state, x);
}

// What the decoder's stages work on, and where a band of the frames goes that come of one latent frame.
struct DecoderRun {
  const VaeDecoderWeights& weights;
  const VaeConfig& config;
  VaeState& state;
  Tensor frames;  // [3, t, rows, W]
};

// Takes one frame x [1, H, W, C], of which `band` holds the rows, through the stages from `stage` on and the head;
// gives the number of frames done. Convolutions in time get earlier frames from their caches, so going on with one
// frame before the next is begun gives the same and needs less memory.
int64_t finish_frame(Context& ctx, const DecoderRun& run, size_t stage, const RowBand& band, const Tensor& x,
                     int64_t done) {
  const VaeConfig& c = run.config;
  const auto scope = ctx.arena->scope();
  if (stage == c.up.size()) {
    const Tensor image = ctx.make(ctx.compute, {1, band.conv().rows(), x.dim(2), c.image_channels()});
    head(ctx, run.weights.head, band, run.state.head, run.state.pools, x, image);
    ops::to_planar(ctx, image, {}, {}, run.frames.slice(1, done, 1), c.patch, true);
    return done + 1;
  }
  const VaeStageRun one = run_of(c, c.up, stage, run.state.first, band);
  const Shape own = up_shape(one, x.shape, next_width(c.up, stage));
  const bool last = stage + 1 == c.up.size();
  const RowBand next = band.up(c.up[stage]);
  const int64_t kept = next.kept(last ? block_reach : up_reach(c.up[stage + 1], one.shortcut));
  const Tensor y = ctx.make(ctx.compute, {own[0], kept + own[1], own[2], own[3]});
  up_stage(ctx, one, run.weights.stages[stage], run.state.stages[stage], run.state.pools, x, y.slice(1, kept, own[1]));
  for (int64_t t = 0; t < y.dim(0); ++t) {
    const Tensor frame = y.slice(0, t, 1);
    (last ? run.state.head_input : run.state.stages[stage + 1].input).pass(ctx, next, frame);
    done = finish_frame(ctx, run, stage + 1, next, frame, done);
  }
  return done;
}

RowBand image_of(const VaeConfig& c, RowBand band) {
  for (const VaeStage& s : c.up) band = band.up(s);
  return band.conv();
}

// All frames in one band after another.
void decode_in(Context& ctx, const std::vector<RowBand>& plan, const VaeDecoderWeights& weights,
               const VaeConfig& config, const Tensor& z, const BandSink& sink) {
  const int64_t latent_frames = z.dim(1), height = z.dim(2), width = z.dim(3), channels = config.up.front().in;
  const auto scope = ctx.arena->scope();
  const Tensor middle = ctx.make(ctx.compute, {latent_frames, height, width, channels});
  {
    VaeState state(config.up);
    expect_middle(state.pools, {1, height, width, config.z_dim}, channels);
    for (int64_t t = 0; t < latent_frames; ++t)
      start_frame(ctx, weights, config, state, z.slice(1, t, 1), middle.slice(0, t, 1));
  }
  VaeState state(config.up);
  state.keep_rows(config.up, has_shortcut(config), latent_frames);
  for (const RowBand& band : plan) {
    state.start_band();
    expect_up(state.pools, config.up, band, width);
    const int64_t kept = band.kept(up_reach(config.up.front(), has_shortcut(config)));
    const Tensor x = middle.slice(1, band.own().begin - kept, kept + band.rows());
    const RowRange image = image_of(config, band).own();
    for (int64_t t = 0, first = 0; t < latent_frames; ++t) {
      const auto one = ctx.arena->scope();
      const Tensor frames = ctx.make(DType::f32, {3, state.first ? 1 : config.stride_t(), image.count() * config.patch,
                                                  width * config.stride_s()});
      finish_frame(ctx, {weights, config, state, frames}, 0, band, x.slice(0, t, 1), 0);
      state.first = false;
      sink(first, image.begin * config.patch, frames);
      first += frames.dim(1);
    }
  }
}

}  // namespace

VaeDecoder::VaeDecoder(const VaeDecoderWeights& weights, const VaeConfig& config, int64_t height, int64_t width)
    : weights_(&weights), config_(&config), height_(height), width_(width), state_(config.up) {
  require(height > 0 && width > 0, ErrorCode::invalid_argument,
          "[VAE decoder] latent frames of {} x {}, expected positive sizes", height, width);
  expect_middle(state_.pools, {1, height, width, config.z_dim}, config.up.front().in);
  expect_up(state_.pools, config.up, {.height = height}, width);
}

void VaeDecoder::decode_next(Context& ctx, const Tensor& z, const Tensor& frames) {
  const VaeConfig& c = *config_;
  const int64_t s = c.stride_s();
  check_clip("VAE decoder", "z", z, {c.z_dim, 1, height_, width_});
  check_clip("VAE decoder", "frames", frames, {3, next_frames(), height_ * s, width_ * s});
  const auto scope = ctx.arena->scope();

  const Tensor x = ctx.make(ctx.compute, {1, height_, width_, c.up.front().in});
  start_frame(ctx, *weights_, c, state_, z, x);
  finish_frame(ctx, {*weights_, c, state_, frames}, 0, {.height = height_}, x, 0);
  state_.first = false;
}

VaeEncoder::VaeEncoder(const VaeEncoderWeights& weights, const VaeConfig& config, int64_t height, int64_t width)
    : weights_(&weights), config_(&config), height_(height), width_(width), state_(config.down) {
  const int64_t s = config.stride_s();
  require(height > 0 && width > 0 && height % s == 0 && width % s == 0, ErrorCode::invalid_argument,
          "[VAE encoder] frames of {} x {}, expected multiples of {}", height, width, s);
  expect_down(state_.pools, config.down, {1, height / config.patch, width / config.patch, config.image_channels()});
}

void VaeEncoder::encode_next(Context& ctx, const Tensor& frames, const Tensor& z) {
  const VaeConfig& c = *config_;
  const int64_t s = c.stride_s();
  check_clip("VAE encoder", "frames", frames, {3, next_frames(), height_, width_});
  check_clip("VAE encoder", "z", z, {c.z_dim, 1, height_ / s, width_ / s});
  const auto scope = ctx.arena->scope();

  const size_t alone = before_time(c.down);
  Tensor x = start_frames(ctx, alone, frames);
  for (size_t i = alone; i < c.down.size(); ++i) {
    const VaeStageRun run = run_of(c, c.down, i, state_.first);
    const Tensor y = ctx.make(ctx.compute, down_shape(run, x.shape, next_width(c.down, i)));
    down_stage(ctx, run, weights_->stages[i], state_.stages[i], state_.pools, x, y);
    x = y;
  }
  middle_blocks(ctx, weights_->middle, state_, x);
  const Tensor moments = ctx.make(ctx.compute, {1, x.dim(1), x.dim(2), 2 * c.z_dim});
  head(ctx, weights_->head, {}, state_.head, state_.pools, x, moments);

  const Affine affine = normalise(ctx, c.z_dim);
  ops::to_planar(ctx, pointwise(ctx, weights_->quant, moments, c.z_dim), affine.scale, affine.shift, z);
  state_.first = false;
}

// The input convolution and the first `stages` stages, which keep the frame rate, frame by frame.
Tensor VaeEncoder::start_frames(Context& ctx, size_t stages, const Tensor& frames) {
  const VaeConfig& c = *config_;
  Shape shape{1, height_ / c.patch, width_ / c.patch, c.down.front().in};
  for (size_t i = 0; i < stages; ++i) shape = down_shape(run_of(c, c.down, i, false), shape, next_width(c.down, i));
  shape[0] = frames.dim(1);
  const Tensor all = ctx.make(ctx.compute, shape);

  for (int64_t t = 0; t < frames.dim(1); ++t) {
    const auto scope = ctx.arena->scope();
    const Tensor image = ops::to_channels_last(ctx, frames.slice(1, t, 1), {}, {}, c.patch);
    const Tensor last = all.slice(0, t, 1);
    Tensor x = stages == 0 ? last : ctx.make(ctx.compute, {1, image.dim(1), image.dim(2), c.down.front().in});
    causal_conv_of(ctx, weights_->conv_in, state_.conv_in, state_.pools, image, x);
    for (size_t i = 0; i < stages; ++i) {
      const VaeStageRun run = run_of(c, c.down, i, false);
      const Tensor y = i + 1 == stages ? last : ctx.make(ctx.compute, down_shape(run, x.shape, next_width(c.down, i)));
      down_stage(ctx, run, weights_->stages[i], state_.stages[i], state_.pools, x, y);
      x = y;
    }
  }
  return all;
}

void decode(Context& ctx, const VaeDecoderWeights& weights, const VaeConfig& config, const Tensor& z,
            const FrameSink& sink) {
  check_latents(z, config);
  VaeDecoder decoder(weights, config, z.dim(2), z.dim(3));
  const int64_t s = config.stride_s();
  for (int64_t t = 0, first = 0; t < z.dim(1); ++t) {
    const auto scope = ctx.arena->scope();
    const Tensor frames = ctx.make(DType::f32, {3, decoder.next_frames(), z.dim(2) * s, z.dim(3) * s});
    decoder.decode_next(ctx, z.slice(1, t, 1), frames);
    sink(first, frames);
    first += frames.dim(1);
  }
}

void decode_bands(Context& ctx, const VaeDecoderWeights& weights, const VaeConfig& config, const Tensor& z,
                  int64_t bands, const BandSink& sink) {
  check_latents(z, config);
  const std::vector<RowBand> plan = plan_decoder_bands(config.up, z.dim(2), bands);
  if (plan.size() > 1) return decode_in(ctx, plan, weights, config, z, sink);
  decode(ctx, weights, config, z, [&](int64_t first, const Tensor& frames) { sink(first, 0, frames); });
}

void encode(Context& ctx, const VaeEncoderWeights& weights, const VaeConfig& config, int64_t frames,
            const FrameSource& source, const Tensor& z) {
  require(frames > 0 && (frames - 1) % config.stride_t() == 0, ErrorCode::invalid_argument,
          "[VAE encoder] {} frames, expected a multiple of {} plus 1", frames, config.stride_t());
  require(z.rank() == 4 && z.dim(1) == config.latent_frames(frames), ErrorCode::invalid_argument,
          "[VAE encoder] z is {}, expected f32 [{}, {}, h, w]", to_string(z), config.z_dim,
          config.latent_frames(frames));
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

}  // namespace wan::models
