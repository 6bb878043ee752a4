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

// Announces the frames that the convolutions over three frames will keep; `frame` [1, H, W, C] is the first one's
// input.
void expect_frames(FramePools& pools, const std::vector<VaeStage>& stages, bool up, Shape frame) {
  const auto expect = [&](int64_t channels, int64_t windows) {
    frame[3] = channels;
    pools.expect(frame, windows);
  };
  constexpr int64_t middle = 4;  // two residual blocks
  expect(frame[3], 1);
  if (up) expect(stages.front().in, middle);
  for (const VaeStage& s : stages) {
    expect(s.in, 1);
    expect(s.out, 2 * s.blocks - 1);
    if (!s.resample) continue;
    frame[1] = up ? frame[1] * 2 : frame[1] / 2;
    frame[2] = up ? frame[2] * 2 : frame[2] / 2;
  }
  if (!up) expect(stages.back().out, middle);
  expect(stages.back().out, 1);
}

VaeStageRun run_of(const VaeConfig& c, const std::vector<VaeStage>& stages, size_t i, bool first) {
  return {stages[i], c.version == VaeVersion::v22, first};
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

}  // namespace

VaeDecoder::VaeDecoder(const VaeDecoderWeights& weights, const VaeConfig& config, int64_t height, int64_t width)
    : weights_(&weights), config_(&config), height_(height), width_(width), state_(config.up) {
  require(height > 0 && width > 0, ErrorCode::invalid_argument,
          "[VAE decoder] latent frames of {} x {}, expected positive sizes", height, width);
  expect_frames(state_.pools, config.up, true, {1, height, width, config.z_dim});
}

void VaeDecoder::decode_next(Context& ctx, const Tensor& z, const Tensor& frames) {
  const VaeConfig& c = *config_;
  const int64_t s = c.stride_s();
  check_clip("VAE decoder", "z", z, {c.z_dim, 1, height_, width_});
  check_clip("VAE decoder", "frames", frames, {3, next_frames(), height_ * s, width_ * s});
  const auto scope = ctx.arena->scope();

  const Affine affine = denormalise(ctx, c.z_dim);
  const Tensor latent = pointwise(ctx, weights_->post_quant, ops::to_channels_last(ctx, z, affine.scale, affine.shift));
  const Tensor x = ctx.make(ctx.compute, {1, height_, width_, c.up.front().in});
  causal_conv_of(ctx, weights_->conv_in, state_.conv_in, state_.pools, latent, x);
  middle_blocks(ctx, weights_->middle, state_, x);

  finish_frame(ctx, 0, x, frames, 0);
  state_.first = false;
}

// Takes one frame [1, H, W, C] through the stages from `stage` on and the head; gives the number of frames done.
// Convolutions in time get earlier frames from their caches, so going on with one frame before the next is begun gives
// the same and needs less memory.
int64_t VaeDecoder::finish_frame(Context& ctx, size_t stage, const Tensor& x, const Tensor& frames, int64_t done) {
  const VaeConfig& c = *config_;
  const auto scope = ctx.arena->scope();
  if (stage == c.up.size()) {
    const Tensor image = ctx.make(ctx.compute, {1, x.dim(1), x.dim(2), c.image_channels()});
    head(ctx, weights_->head, state_.head, state_.pools, x, image);
    ops::to_planar(ctx, image, {}, {}, frames.slice(1, done, 1), c.patch, true);
    return done + 1;
  }
  const VaeStageRun run = run_of(c, c.up, stage, state_.first);
  const Tensor y = ctx.make(ctx.compute, up_shape(run, x.shape, next_width(c.up, stage)));
  up_stage(ctx, run, weights_->stages[stage], state_.stages[stage], state_.pools, x, y);
  for (int64_t t = 0; t < y.dim(0); ++t) done = finish_frame(ctx, stage + 1, y.slice(0, t, 1), frames, done);
  return done;
}

VaeEncoder::VaeEncoder(const VaeEncoderWeights& weights, const VaeConfig& config, int64_t height, int64_t width)
    : weights_(&weights), config_(&config), height_(height), width_(width), state_(config.down) {
  const int64_t s = config.stride_s();
  require(height > 0 && width > 0 && height % s == 0 && width % s == 0, ErrorCode::invalid_argument,
          "[VAE encoder] frames of {} x {}, expected multiples of {}", height, width, s);
  expect_frames(state_.pools, config.down, false,
                {1, height / config.patch, width / config.patch, config.image_channels()});
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
  head(ctx, weights_->head, state_.head, state_.pools, x, moments);

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
  require(z.rank() == 4 && z.dim(1) > 0, ErrorCode::invalid_argument,
          "[VAE decoder] z is {}, expected f32 [{}, T, h, w]", to_string(z), config.z_dim);
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
