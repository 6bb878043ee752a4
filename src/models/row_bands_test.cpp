#include "models/row_bands.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "models/vae_test_support.h"

namespace wan::models {
namespace {

using namespace test_vae;

const std::vector<VaeStage> official = {
    {384, 384, 3, true, true}, {192, 384, 3, true, true}, {192, 192, 3, true, false}, {96, 96, 3}};

// The band in the latents and in what every residual block, every doubling and the head give.
std::vector<RowBand> layers_of(RowBand band) {
  std::vector<RowBand> layers{band};
  for (const VaeStage& s : official) {
    for (int64_t i = 0; i < s.blocks; ++i) layers.push_back(band = band.block());
    if (s.resample) layers.push_back(band = band.doubled());
  }
  layers.push_back(band.conv());
  return layers;
}

// The bands of one band's layers follow upon those of the band before, and are as large in the middle of a layer.
void expect_next(const std::vector<RowBand>& layers, const std::vector<RowBand>& before) {
  for (size_t i = 0; i < layers.size(); ++i) {
    EXPECT_EQ(layers[i].own().begin, before.empty() ? 0 : before[i].own().end);
    EXPECT_GE(layers[i].rows(), 0);
    if (!before.empty() && !before[i].top && !layers[i].last && layers[i].end <= layers[i].height) {
      EXPECT_EQ(layers[i].rows(), before[i].rows()) << layers[i].height << " " << i;
    }
  }
}

// Every layer's bands follow upon each other and fill the frame; there is always something of the image; those in the
// middle of a layer are equal.
TEST(DecoderBands, CoverEveryLayer) {
  for (const int64_t height : {1, 2, 3, 5, 15, 16, 23, 44, 45, 60, 80, 90})
    for (int64_t bands = 1; bands <= height; ++bands) {
      const auto plan = plan_decoder_bands(official, height, bands);
      ASSERT_EQ(std::ssize(plan), bands);
      std::vector<RowBand> before;
      for (const RowBand& band : plan) {
        const auto layers = layers_of(band);
        EXPECT_GT(layers.back().rows(), 0) << height << " " << bands;
        expect_next(layers, before);
        before = layers;
      }
      for (const RowBand& layer : before) EXPECT_EQ(layer.own().end, layer.height);
      EXPECT_EQ(before.back().height, 8 * height);
    }
}

TEST(DecoderBands, LieHigherLayerByLayer) {
  const auto plan = plan_decoder_bands(official, 90, 4);
  const auto second = layers_of(plan[1]), last = layers_of(plan[3]);
  EXPECT_EQ(second[0].own(), (RowRange{33, 57}));  // 12 rows more than the band before has in the image
  EXPECT_EQ(second[1].own(), (RowRange{31, 55}));
  EXPECT_EQ(second[3].own(), (RowRange{27, 51}));
  EXPECT_EQ(second[4].own(), (RowRange{53, 101}));
  EXPECT_EQ(second.back().own(), (RowRange{166, 358}));
  EXPECT_EQ(last[0].own(), (RowRange{81, 90}));
  EXPECT_EQ(last.back().own(), (RowRange{550, 720}));
}

TEST(DecoderBands, EndWithLayersThatAreDone) {
  const auto plan = plan_decoder_bands(official, 44, 8);
  const auto last = layers_of(plan[7]);
  EXPECT_EQ(last[0].own(), (RowRange{44, 44}));
  EXPECT_TRUE(last[0].done());
  EXPECT_EQ(last.back().own(), (RowRange{326, 352}));
  EXPECT_FALSE(last.back().done());
}

TEST(DecoderBands, TooManyAreRefused) {
  EXPECT_THROW(plan_decoder_bands(official, 90, 91), Error);
  EXPECT_THROW(plan_decoder_bands(official, 90, 0), Error);
}

TEST(EncoderBands, CoverEveryLayer) {
  const std::vector<VaeStage> down = {
      {96, 96, 2, true, false}, {96, 192, 2, true, true}, {192, 384, 2, true, true}, {384, 384, 2}};
  for (const int64_t height : {1, 9, 10, 11, 15, 44, 45, 60, 80, 90})
    for (int64_t bands = 1; bands <= most_encoder_bands(down, height); ++bands) {
      const auto plan = plan_encoder_bands(down, height, bands);
      ASSERT_EQ(std::ssize(plan), bands);
      std::vector<RowBand> before;
      for (const RowBand& image : plan) {
        std::vector<RowBand> layers{image, image.conv()};
        for (const VaeStage& s : down) {
          layers.push_back(layers.back().blocks(s));
          if (s.resample) layers.push_back(layers.back().halved());
        }
        EXPECT_EQ(layers.front().height, 8 * height);
        EXPECT_EQ(layers.back().height, height);
        EXPECT_GT(layers.back().rows(), 0) << height << " " << bands;
        expect_next(layers, before);
        before = layers;
      }
      for (const RowBand& layer : before) EXPECT_EQ(layer.own().end, layer.height);
    }
  EXPECT_EQ(most_encoder_bands(down, 90), 81);
  EXPECT_EQ(most_encoder_bands(down, 5), 1);
  EXPECT_THROW(plan_encoder_bands(down, 90, 82), Error);
  EXPECT_THROW(plan_encoder_bands(down, 90, 0), Error);
}

struct Case {
  VaeVersion version;
  DType compute;
};

class BandedVae : public testing::TestWithParam<Case> {};

// The last bits of oneDNN's f32 sums depend on the image's size where there is no AVX-512.
double bound(DType compute) { return compute == DType::f32 ? 1e-5 : 0; }

TEST_P(BandedVae, DecodesWhatWholeFramesGive) {
  const Loaded vae(GetParam().version, GetParam().compute);
  for (const auto [frames, height, width] :
       {std::array<int64_t, 3>{1, 17, 2}, {2, 2, 3}, {2, 3, 2}, {3, 5, 3}, {4, 19, 1}, {3, 14, 5}}) {
    test::CpuContext cpu(GetParam().compute, 1);
    const Tensor z = some_latent(cpu, vae.config.z_dim, frames, height, width);
    const Tensor whole = streamed_decode(cpu.ctx, vae, z);
    for (const int64_t bands : std::set<int64_t>{1, 2, 3, 4, height / 2, height}) {
      if (bands < 1 || bands > height) continue;
      EXPECT_LE(largest_difference(banded_decode(cpu.ctx, vae, z, bands), whole), bound(GetParam().compute))
          << frames << " frames of " << height << " x " << width << " in " << bands << " bands";
    }
    EXPECT_THROW(banded_decode(cpu.ctx, vae, z, height + 1), Error);
  }
}

TEST_P(BandedVae, EncodesWhatWholeFramesGive) {
  const Loaded vae(GetParam().version, GetParam().compute);
  const int64_t s = vae.config.stride_s();
  for (const auto [frames, height, width] : {std::array<int64_t, 3>{1, 14, 2}, {5, 11, 1}, {9, 16, 1}, {13, 13, 2}}) {
    const int64_t most = most_encoder_bands(vae.config.down, height);
    ASSERT_GT(most, 1);
    test::CpuContext cpu(GetParam().compute, 1);
    const Tensor video = some_latent(cpu, 3, frames, height * s, width * s);
    const Tensor whole = streamed_encode(cpu.ctx, vae, video);
    for (const int64_t bands : std::set<int64_t>{1, 2, 3, most})
      if (bands <= most) {
        EXPECT_LE(largest_difference(banded_encode(cpu.ctx, vae, video, bands), whole), bound(GetParam().compute))
            << frames << " frames of " << height << " x " << width << " in " << bands << " bands";
      }
    EXPECT_THROW(banded_encode(cpu.ctx, vae, video, most + 1), Error);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, BandedVae,
                         testing::Values(Case{VaeVersion::v21, DType::f32}, Case{VaeVersion::v21, DType::bf16},
                                         Case{VaeVersion::v22, DType::f32}, Case{VaeVersion::v22, DType::bf16}),
                         [](const auto& i) {
                           return std::string(i.param.version == VaeVersion::v21 ? "v21" : "v22") +
                                  (i.param.compute == DType::f32 ? "_f32" : "_bf16");
                         });

}  // namespace
}  // namespace wan::models
