#include "core/error.h"
#include "models/vae_stream.h"
#include "models/vae_stream_parts.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/linear.h"

namespace wan::models {
namespace {

// Announces the frames that the convolutions over three frames will keep. `frame` [1, H, W, C] is the first one's
// input, here and below.
void expect_middle(FramePools& pools, const Shape& frame, int64_t channels) {
  constexpr int64_t middle = 4;  // two residual blocks
  pools.expect(frame, 1);
  pools.expect({frame[0], frame[1], frame[2], channels}, middle);
}

// Frames of the decoder's stages and head. `band` is that of the first stage's input.
void expect_up(FramePools& pools, const std::vector<VaeStage>& stages, RowBand band, int64_t width) {
  for (const VaeStage& s : stages) {
    for (int64_t i = 0; i < 2 * s.blocks; ++i) band = expect_conv(pools, band, width, i == 0 ? s.in : s.out);
    if (!s.resample) continue;
    band = band.doubled();
    width *= 2;
  }
  expect_conv(pools, band, width, stages.back().out);
}

Affine denormalise(Context& ctx, int64_t z_dim) {
  const LatentStatistics s = latent_statistics(z_dim);
  return {ops::upload(ctx, s.std, {z_dim}), ops::upload(ctx, s.mean, {z_dim})};
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
  causal_conv_of(ctx, weights.conv_in, {}, state.conv_in, state.pools, latent, x);
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

// Bands in waves of one on every rank; absent ranks: one has them all. The ranks' order turns with every wave, so that
// the rows kept of a wave's last band are where the next one begins.
struct SharedBands {
  comm::Communicator* ranks = nullptr;
  int64_t workers = 1, waves = 0;

  int rank() const { return ranks ? ranks->rank() : 0; }
  int64_t turned(int64_t wave, int64_t i) const { return wave % 2 == 0 ? i : workers - 1 - i; }
  // The rank that has the `place`-th band of a wave, and the place of this rank.
  int rank_at(int64_t wave, int64_t place) const {
    return place < 0 || place >= workers ? -1 : static_cast<int>(turned(wave, place));
  }
  int64_t place(int64_t wave) const { return turned(wave, rank()); }
  size_t band(int64_t wave, int64_t place) const { return static_cast<size_t>(wave * workers + place); }
};

// What a wave made of the same frames, top to bottom, to rank 0's sink.
void hand_over(Context& ctx, const SharedBands& shared, const std::vector<RowBand>& plan, int64_t wave,
               const VaeConfig& config, int64_t first_frame, const Tensor& own, const BandSink& sink) {
  if (shared.rank() > 0) return shared.ranks->send(parallel::bytes_of(own), 0, ctx.stream);
  for (int64_t place = 0; place < shared.workers; ++place) {
    const RowRange rows = image_of(config, plan[shared.band(wave, place)]).own();
    const int rank = shared.rank_at(wave, place);
    const auto scope = ctx.arena->scope();
    Tensor frames = own;
    if (rank > 0) {
      frames = ctx.make(DType::f32, {3, own.dim(1), rows.count() * config.patch, own.dim(3)});
      shared.ranks->receive(parallel::bytes_of(frames), rank, ctx.stream);
    }
    sink(first_frame, rows.begin * config.patch, frames);
  }
}

// All frames in one band after another.
void decode_in(Context& ctx, const std::vector<RowBand>& plan, const SharedBands& shared,
               const VaeDecoderWeights& weights, const VaeConfig& config, const Tensor& z, const BandSink& sink) {
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
  state.keep_rows_up(config.up, has_shortcut(config), latent_frames);
  for (int64_t wave = 0; wave < shared.waves; ++wave) {
    const int64_t place = shared.place(wave);
    const RowExchange exchange{shared.ranks, shared.rank_at(wave, place - 1), shared.rank_at(wave, place + 1)};
    RowBand band = plan[shared.band(wave, place)];
    band.exchange = &exchange;
    state.start_band();
    expect_up(state.pools, config.up, band, width);
    const int64_t kept = band.kept(up_reach(config.up.front(), has_shortcut(config)));
    const Tensor x = middle.slice(1, band.own().begin - kept, kept + band.rows());
    const RowRange image = image_of(config, band).own();
    for (int64_t t = 0, first = 0; t < latent_frames; ++t) {
      ctx.check_stop();
      const auto one = ctx.arena->scope();
      const Tensor frames = ctx.make(DType::f32, {3, state.first ? 1 : config.stride_t(), image.count() * config.patch,
                                                  width * config.stride_s()});
      finish_frame(ctx, {weights, config, state, frames}, 0, band, x.slice(0, t, 1), 0);
      state.first = false;
      hand_over(ctx, shared, plan, wave, config, first, frames, sink);
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
  if (plan.size() > 1) return decode_in(ctx, plan, {nullptr, 1, bands}, weights, config, z, sink);
  decode(ctx, weights, config, z, [&](int64_t first, const Tensor& frames) { sink(first, 0, frames); });
}

void decode_shared(Context& ctx, const VaeDecoderWeights& weights, const VaeConfig& config, const Tensor& z,
                   comm::Communicator& ranks, int64_t bands_each, const BandSink& sink) {
  check_latents(z, config);
  require(bands_each >= 1, ErrorCode::invalid_argument, "[VAE decoder] {} bands on each rank, expected at least 1",
          bands_each);
  const int64_t workers = decoder_ranks(config.up, z.dim(2), ranks.size(), bands_each);
  if (ranks.rank() >= workers) return;
  if (workers == 1) return decode_bands(ctx, weights, config, z, std::min(bands_each, z.dim(2)), sink);
  const std::vector<RowBand> plan = plan_shared_bands(config.up, z.dim(2), workers * bands_each);
  decode_in(ctx, plan, {&ranks, workers, bands_each}, weights, config, z, sink);
}

}  // namespace wan::models
