#pragma once
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "io/torch_file.h"
#include "models/vae_stream.h"
#include "ops/elementwise.h"
#include "support/cpu_context.h"
#include "support/expected.h"
#include "weights/file_source.h"

/// What the tests of the autoencoders share: the tiny checkpoints, and whole clips through the streaming objects.
namespace wan::models::test_vae {

inline const std::string golden = WAN_SOURCE_DIR "/tests/golden/tiny/";

inline const test::Expected& golden_values() {
  static const test::Expected values(golden + "expected.safetensors");
  return values;
}
inline const test::Expected& odd_values() {
  static const test::Expected values(WAN_SOURCE_DIR "/tests/fixtures/vae/odd.safetensors");
  return values;
}

inline Shape shape_in(const test::Expected& file, const std::string& name) {
  return Shape(std::span<const int64_t>(file.shape(name)));
}
inline Tensor load(test::CpuContext& cpu, const test::Expected& file, const std::string& name) {
  return cpu.from(file.f32(name), shape_in(file, name));
}

inline io::TensorIndex open_tiny(VaeVersion version) {
  return io::open_torch_file(
      golden + (version == VaeVersion::v21 ? "Wan2.2-T2V-A14B/Wan2.1_VAE.pth" : "Wan2.2-TI2V-5B/Wan2.2_VAE.pth"));
}

/// A checkpoint with its weights bound.
struct Loaded {
  explicit Loaded(VaeVersion version, DType compute = DType::f32) : index(open_tiny(version)) {
    config = infer_vae_config(weights::shape_of(index), "tiny");
    const weights::Policy policy{compute, false, &host_memory()};
    encoder_set = weights::WeightSet(index, weights::specs_of<VaeEncoderWeights>(config, ""), policy);
    decoder_set = weights::WeightSet(index, weights::specs_of<VaeDecoderWeights>(config, ""), policy);
    encoder = weights::bind<VaeEncoderWeights>(encoder_set.tensors(), config);
    decoder = weights::bind<VaeDecoderWeights>(decoder_set.tensors(), config);
  }
  io::TensorIndex index;
  VaeConfig config;
  weights::WeightSet encoder_set, decoder_set;
  VaeEncoderWeights encoder;
  VaeDecoderWeights decoder;
};

/// The video of z, chunk by chunk into slices of one tensor.
inline Tensor streamed_decode(Context& ctx, const Loaded& vae, const Tensor& z) {
  const int64_t s = vae.config.stride_s();
  const Tensor video = ctx.make(DType::f32, {3, vae.config.video_frames(z.dim(1)), z.dim(2) * s, z.dim(3) * s});
  VaeDecoder decoder(vae.decoder, vae.config, z.dim(2), z.dim(3));
  for (int64_t t = 0, first = 0; t < z.dim(1); ++t) {
    const int64_t n = decoder.next_frames();
    decoder.decode_next(ctx, z.slice(1, t, 1), video.slice(1, first, n));
    first += n;
  }
  return video;
}

/// The video that decode(sink) makes of z in bands of rows.
template <class Decode>
Tensor video_of_bands(Context& ctx, const Loaded& vae, const Tensor& z, const Decode& decode) {
  const int64_t s = vae.config.stride_s();
  const Tensor video = ctx.make(DType::f32, {3, vae.config.video_frames(z.dim(1)), z.dim(2) * s, z.dim(3) * s});
  std::fill_n(video.ptr<float>(), video.numel(), 9.f);
  decode([&](int64_t frame, int64_t row, const Tensor& part) {
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t t = 0; t < part.dim(1); ++t) {
        const Tensor from = part.slice(0, c, 1).slice(1, t, 1);
        const Tensor to = video.slice(0, c, 1).slice(1, frame + t, 1).slice(2, row, part.dim(2));
        std::copy_n(from.ptr<const float>(), from.numel(), to.ptr<float>());
      }
  });
  return video;
}
inline Tensor banded_decode(Context& ctx, const Loaded& vae, const Tensor& z, int64_t bands) {
  return video_of_bands(ctx, vae, z,
                        [&](const BandSink& sink) { decode_bands(ctx, vae.decoder, vae.config, z, bands, sink); });
}

/// The latent of a video, chunk by chunk from slices of it.
inline Tensor streamed_encode(Context& ctx, const Loaded& vae, const Tensor& video) {
  const int64_t s = vae.config.stride_s();
  const Tensor z = ctx.make(
      DType::f32, {vae.config.z_dim, vae.config.latent_frames(video.dim(1)), video.dim(2) / s, video.dim(3) / s});
  VaeEncoder encoder(vae.encoder, vae.config, video.dim(2), video.dim(3));
  for (int64_t t = 0, first = 0; t < z.dim(1); ++t) {
    const int64_t n = encoder.next_frames();
    encoder.encode_next(ctx, video.slice(1, first, n), z.slice(1, t, 1));
    first += n;
  }
  return z;
}

/// The latent of a video through bands of rows.
inline Tensor banded_encode(Context& ctx, const Loaded& vae, const Tensor& video, int64_t bands) {
  const int64_t s = vae.config.stride_s();
  const Tensor z = ctx.make(
      DType::f32, {vae.config.z_dim, vae.config.latent_frames(video.dim(1)), video.dim(2) / s, video.dim(3) / s});
  const auto source = [&](int64_t first, const Tensor& frames) {
    for (int64_t c = 0; c < 3; ++c)
      ops::copy(ctx, video.slice(0, c, 1).slice(1, first, frames.dim(1)), frames.slice(0, c, 1));
  };
  encode_bands(ctx, vae.encoder, vae.config, video.dim(1), source, z, bands);
  return z;
}

/// A smooth latent that differs in every element and frame.
inline Tensor some_latent(test::CpuContext& cpu, int64_t z_dim, int64_t frames, int64_t height, int64_t width) {
  const Tensor z = cpu.ctx.make(DType::f32, {z_dim, frames, height, width});
  for (int64_t i = 0; i < z.numel(); ++i) z.ptr<float>()[i] = std::sin(0.7f * static_cast<float>(i) + 0.3f);
  return z;
}

inline double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape, b.shape);
  double worst = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    worst = std::max(worst, std::abs(double(a.ptr<float>()[i]) - double(b.ptr<float>()[i])));
  return worst;
}

}  // namespace wan::models::test_vae
