#include "models/vae_stream.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "models/vae_test_support.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/norm.h"

namespace wan::models {
namespace {

using namespace test_vae;
using ops::ConvShape;

/// The whole clip at once, from the definition: every convolution in time sees all frames, with zeros before the first.
/// The change of frame rate leaves frame 0 alone: going up, it stays one frame and the convolution in time starts
/// afresh behind it (upstream's "Rep"); going down, it stays and the others are thinned with it as their past.
struct WholeClip {
  Context& ctx;
  const Loaded& vae;

  Tensor conv(const ConvWeights& w, const Tensor& x, const ConvShape& shape) const {
    return ops::conv(ctx, x, {}, w.weight, w.bias, shape);
  }
  Tensor causal(const ConvWeights& w, const Tensor& x) const { return conv(w, x, ConvShape::same(w.weight.dim(2))); }

  Tensor copy_of(const Tensor& x) const {
    const Tensor y = ctx.make(x.dtype, x.shape);
    ops::copy(ctx, x, y);
    return y;
  }

  Tensor join(const Tensor& a, const Tensor& b) const {
    const Tensor y = ctx.make(a.dtype, {a.dim(0) + b.dim(0), a.dim(1), a.dim(2), a.dim(3)});
    ops::copy(ctx, a, y.slice(0, 0, a.dim(0)));
    ops::copy(ctx, b, y.slice(0, a.dim(0), b.dim(0)));
    return y;
  }

  Tensor residual(const VaeResidualWeights& w, const Tensor& x) const {
    const Tensor h = causal(w.conv1, ops::channel_norm(ctx, x, w.norm1, true));
    const Tensor y = causal(w.conv2, ops::channel_norm(ctx, h, w.norm2, true));
    ops::add(ctx, y, w.shortcut.weight ? causal(w.shortcut, x) : x);
    return y;
  }

  Tensor middle(const VaeMiddleWeights& w, const Tensor& x) const {
    const Tensor y = residual(w.before, x);
    attention_block(ctx, w.attention, y);
    return residual(w.after, y);
  }

  Tensor head_of(const VaeHeadWeights& w, const Tensor& x) const {
    return causal(w.conv, ops::channel_norm(ctx, x, w.norm, true));
  }

  Tensor up(const VaeStage& stage, const VaeStageWeights& w, const Tensor& x) const {
    Tensor h = x;
    for (const auto& block : w.blocks) h = residual(block, h);
    if (!stage.resample) return h;
    if (stage.time && h.dim(0) > 1)
      h = join(h.slice(0, 0, 1), ops::interleave_time(ctx, causal(w.time, copy_of(h.slice(0, 1, h.dim(0) - 1)))));
    const Tensor y = conv(w.space, h, {{1, 1, 1}, 1, 1, 1, 1, false, true});
    if (vae.config.version == VaeVersion::v22) ops::add_dup_up(ctx, y, x, stage.time ? 2 : 1, 2, true);
    return y;
  }

  Tensor down(const VaeStage& stage, const VaeStageWeights& w, const Tensor& x) const {
    Tensor y = x;
    for (const auto& block : w.blocks) y = residual(block, y);
    if (stage.resample) y = conv(w.space, y, {{1, 2, 2}, 0, 1, 0, 1, false, false});
    if (stage.time && y.dim(0) > 1) y = join(y.slice(0, 0, 1), conv(w.time, y, {{2, 1, 1}, 0, 0, 0, 0, true, false}));
    if (vae.config.version == VaeVersion::v22) ops::add_avg_down(ctx, y, x, stage.time ? 2 : 1, stage.resample ? 2 : 1);
    return y;
  }

  Tensor decode(const Tensor& z) const {
    const VaeConfig& c = vae.config;
    const LatentStatistics s = latent_statistics(c.z_dim);
    Tensor x = ops::to_channels_last(ctx, z, ops::upload(ctx, s.std, {c.z_dim}), ops::upload(ctx, s.mean, {c.z_dim}));
    x = middle(vae.decoder.middle, causal(vae.decoder.conv_in, causal(vae.decoder.post_quant, x)));
    for (size_t i = 0; i < c.up.size(); ++i) x = up(c.up[i], vae.decoder.stages[i], x);
    x = head_of(vae.decoder.head, x);
    const Tensor video = ctx.make(DType::f32, {3, x.dim(0), x.dim(1) * c.patch, x.dim(2) * c.patch});
    ops::to_planar(ctx, x, {}, {}, video, c.patch, true);
    return video;
  }

  Tensor encode(const Tensor& video) const {
    const VaeConfig& c = vae.config;
    Tensor x = causal(vae.encoder.conv_in, ops::to_channels_last(ctx, video, {}, {}, c.patch));
    for (size_t i = 0; i < c.down.size(); ++i) x = down(c.down[i], vae.encoder.stages[i], x);
    x = causal(vae.encoder.quant, head_of(vae.encoder.head, middle(vae.encoder.middle, x)));
    const Tensor both = ctx.make(DType::f32, {2 * c.z_dim, x.dim(0), x.dim(1), x.dim(2)});
    ops::to_planar(ctx, x, {}, {}, both);
    const Tensor z = both.slice(0, 0, c.z_dim);
    const LatentStatistics s = latent_statistics(c.z_dim);
    const int64_t size = z.numel() / c.z_dim;
    for (int64_t i = 0; i < z.numel(); ++i) {
      const auto channel = static_cast<size_t>(i / size);
      z.ptr<float>()[i] = (z.ptr<float>()[i] - s.mean[channel]) / s.std[channel];
    }
    return z;
  }
};

// Where there is no AVX-512, the last bits of oneDNN's sums depend on the number of frames.
constexpr double sums = 1e-5;

class VaeStream : public testing::TestWithParam<VaeVersion> {};

TEST_P(VaeStream, DecodesInChunksWhatTheWholeClipGives) {
  const Loaded vae(GetParam());
  for (const int64_t latent_frames : {1, 2, 3, 4}) {
    test::CpuContext cpu;
    const Tensor z = some_latent(cpu, vae.config.z_dim, latent_frames, 3, 2);
    const Tensor video = streamed_decode(cpu.ctx, vae, z);
    EXPECT_EQ(video.dim(1), 1 + 4 * (latent_frames - 1));
    EXPECT_LE(largest_difference(video, WholeClip{cpu.ctx, vae}.decode(z)), sums) << latent_frames;
  }
}

TEST_P(VaeStream, EncodesInChunksWhatTheWholeClipGives) {
  const Loaded vae(GetParam());
  const int64_t s = vae.config.stride_s();
  for (const int64_t frames : {1, 5, 9, 13}) {
    test::CpuContext cpu;
    const Tensor video = some_latent(cpu, 3, frames, 3 * s, s);
    const Tensor z = streamed_encode(cpu.ctx, vae, video);
    EXPECT_EQ(z.dim(1), 1 + (frames - 1) / 4);
    EXPECT_LE(largest_difference(z, WholeClip{cpu.ctx, vae}.encode(video)), sums) << frames;
  }
}

// A frame depends on nothing behind it: more latent frames leave the earlier pixels as they are.
TEST_P(VaeStream, LaterLatentsDoNotReachBack) {
  const Loaded vae(GetParam());
  test::CpuContext cpu;
  const Tensor z = some_latent(cpu, vae.config.z_dim, 3, 2, 2);
  const Tensor longer = streamed_decode(cpu.ctx, vae, z);
  const Tensor two = cpu.ctx.make(DType::f32, {vae.config.z_dim, 2, 2, 2});
  for (int64_t c = 0; c < z.dim(0); ++c)
    std::copy_n(z.ptr<float>() + c * z.stride(0), 2 * z.stride(1), two.ptr<float>() + c * two.stride(0));
  const Tensor shorter = streamed_decode(cpu.ctx, vae, two);
  for (int64_t c = 0; c < 3; ++c)
    for (int64_t i = 0; i < shorter.stride(0); ++i)
      ASSERT_EQ(shorter.ptr<float>()[c * shorter.stride(0) + i], longer.ptr<float>()[c * longer.stride(0) + i]);
}

struct Memory {
  int64_t scratch = 0, held = 0;
  bool operator==(const Memory&) const = default;
};

TEST_P(VaeStream, MemoryDoesNotGrowWithTheClip) {
  const Loaded vae(GetParam());
  const VaeConfig& c = vae.config;
  const auto decoding = [&](int64_t frames) {
    test::CpuContext inputs, cpu;
    const Tensor z = some_latent(inputs, c.z_dim, c.latent_frames(frames), 2, 3);
    int64_t seen = 0;
    decode(cpu.ctx, vae.decoder, c, z, [&](int64_t first, const Tensor& chunk) {
      EXPECT_EQ(first, seen);
      seen += chunk.dim(1);
    });
    EXPECT_EQ(seen, frames);
    VaeDecoder decoder(vae.decoder, c, 2, 3);
    const Tensor image = inputs.ctx.make(DType::f32, {3, 4, 2 * c.stride_s(), 3 * c.stride_s()});
    for (int64_t t = 0; t < z.dim(1); ++t)
      decoder.decode_next(cpu.ctx, z.slice(1, t, 1), image.slice(1, 0, decoder.next_frames()));
    return Memory{cpu.arena.peak(), decoder.cache_bytes()};
  };
  const auto encoding = [&](int64_t frames) {
    test::CpuContext outputs, cpu;
    const Tensor z = outputs.ctx.make(DType::f32, {c.z_dim, c.latent_frames(frames), 2, 3});
    int64_t seen = 0;
    encode(
        cpu.ctx, vae.encoder, c, frames,
        [&](int64_t first, const Tensor& chunk) {
          EXPECT_EQ(first, seen);
          seen += chunk.dim(1);
          std::fill_n(chunk.ptr<float>(), chunk.numel(), 0.5f);
        },
        z);
    EXPECT_EQ(seen, frames);
    return Memory{cpu.arena.peak(), 0};
  };
  EXPECT_EQ(decoding(9), decoding(33));
  EXPECT_EQ(encoding(9), encoding(33));
  EXPECT_GT(decoding(9).held, 0);
}

// The planner runs this code on memory that does not exist.
TEST_P(VaeStream, RunsDry) {
  const Loaded vae(GetParam());
  DryMemory memory;
  Arena arena(memory);
  Context ctx;
  ctx.arena = &arena;
  ctx.kernels = &ops::dry_kernels();
  const int64_t s = vae.config.stride_s();
  const Tensor z = ctx.make(DType::f32, {vae.config.z_dim, 3, 45, 80});
  const int64_t before = arena.peak();
  decode(ctx, vae.decoder, vae.config, z, [](int64_t, const Tensor&) {});
  encode(
      ctx, vae.encoder, vae.config, 9, [](int64_t, const Tensor&) {}, z);
  EXPECT_GT(arena.peak(), before + 3 * 4 * 45 * 80 * s * s * size_of(DType::f32));
}

TEST_P(VaeStream, RefusesWrongShapes) {
  const Loaded vae(GetParam());
  test::CpuContext cpu;
  const VaeConfig& c = vae.config;
  const int64_t s = c.stride_s();
  VaeDecoder decoder(vae.decoder, c, 2, 3);
  const Tensor z = some_latent(cpu, c.z_dim, 1, 2, 3);
  EXPECT_THROW(decoder.decode_next(cpu.ctx, z, cpu.ctx.make(DType::f32, {3, 4, 2 * s, 3 * s})), Error);
  EXPECT_THROW(
      decoder.decode_next(cpu.ctx, some_latent(cpu, c.z_dim, 1, 3, 2), cpu.ctx.make(DType::f32, {3, 1, 2 * s, 3 * s})),
      Error);
  EXPECT_THROW(VaeDecoder(vae.decoder, c, 0, 3), Error);
  EXPECT_THROW(VaeEncoder(vae.encoder, c, s + 1, s), Error);
  const auto none = [](int64_t, const Tensor&) {};
  EXPECT_THROW(encode(cpu.ctx, vae.encoder, c, 6, none, some_latent(cpu, c.z_dim, 2, 1, 1)), Error);
  EXPECT_THROW(encode(cpu.ctx, vae.encoder, c, 5, none, some_latent(cpu, c.z_dim, 3, 1, 1)), Error);
}

INSTANTIATE_TEST_SUITE_P(Versions, VaeStream, testing::Values(VaeVersion::v21, VaeVersion::v22),
                         [](const auto& i) { return i.param == VaeVersion::v21 ? "v21" : "v22"; });

}  // namespace
}  // namespace wan::models
