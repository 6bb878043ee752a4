#include "models/row_bands.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "models/vae_test_support.h"

namespace wan::models {
namespace {

using namespace test_vae;

const std::vector<VaeStage> official = {
    {384, 384, 3, true, true}, {192, 384, 3, true, true}, {192, 192, 3, true, false}, {96, 96, 3}};

// Every layer's bands follow upon each other and fill the frame; nothing is empty; those in the middle are equal.
TEST(DecoderBands, CoverEveryLayer) {
  for (const int64_t height : {15, 16, 23, 44, 45, 60, 80, 90})
    for (int64_t bands = 1; bands <= most_decoder_bands(official, height); ++bands) {
      const auto plan = plan_decoder_bands(official, height, bands);
      ASSERT_EQ(std::ssize(plan), bands);
      EXPECT_EQ(plan.front().latent.begin, 0);
      EXPECT_EQ(plan.back().latent.end, height);
      EXPECT_EQ(plan.back().image().end, 8 * height);
      for (size_t i = 0; i < plan.size(); ++i) {
        EXPECT_EQ(plan[i].edges.top, i == 0);
        EXPECT_EQ(plan[i].edges.bottom, i + 1 == plan.size());
        EXPECT_GT(plan[i].latent.count(), 0);
        for (size_t layer = 0; layer < plan[i].layers.size(); ++layer) {
          const RowRange rows = plan[i].layers[layer];
          EXPECT_GT(rows.count(), 0) << height << " " << bands << " " << i << " " << layer;
          EXPECT_EQ(rows.begin, i == 0 ? 0 : plan[i - 1].layers[layer].end);
          if (i > 1 && i + 1 < plan.size()) {
            EXPECT_EQ(rows.count(), plan[1].layers[layer].count());
          }
        }
      }
    }
}

TEST(DecoderBands, LieHigherLayerByLayer) {
  const auto plan = plan_decoder_bands(official, 90, 4);
  const RowRange second = plan[1].latent;  // 12 rows more than a quarter lie above it
  EXPECT_EQ(second, (RowRange{35, 58}));
  EXPECT_EQ(plan[1].layers[0], (RowRange{33, 56}));
  EXPECT_EQ(plan[1].layers[2], (RowRange{29, 52}));
  EXPECT_EQ(plan[1].layers[3], (RowRange{57, 103}));
  EXPECT_EQ(plan[1].image(), (RowRange{182, 366}));
  EXPECT_EQ(plan[3].image(), (RowRange{550, 720}));
}

// What the blocks compute with is what the plan says.
TEST(DecoderBands, StagesGiveTheRowsOfThePlan) {
  for (const auto& band : plan_decoder_bands(official, 30, 3)) {
    int64_t rows = band.latent.count();
    size_t layer = 0;
    for (const VaeStage& s : official) {
      EXPECT_EQ(block_rows(s, band.edges, rows), band.layers[layer + static_cast<size_t>(s.blocks) - 1].count());
      rows = up_rows(s, band.edges, rows);
      layer += static_cast<size_t>(s.blocks) + (s.resample ? 1 : 0);
      EXPECT_EQ(rows, band.layers[layer - 1].count());
    }
    EXPECT_EQ(band.edges.conv_rows(rows), band.image().count());
  }
}

TEST(DecoderBands, TooManyAreRefused) {
  EXPECT_EQ(most_decoder_bands(official, 90), 78);
  EXPECT_EQ(most_decoder_bands(official, 5), 1);
  EXPECT_THROW(plan_decoder_bands(official, 90, 79), Error);
  EXPECT_THROW(plan_decoder_bands(official, 5, 2), Error);
  EXPECT_THROW(plan_decoder_bands(official, 90, 0), Error);
}

/// The video of z through bands of rows.
Tensor banded_decode(Context& ctx, const Loaded& vae, const Tensor& z, int64_t bands) {
  const int64_t s = vae.config.stride_s();
  const Tensor video = ctx.make(DType::f32, {3, vae.config.video_frames(z.dim(1)), z.dim(2) * s, z.dim(3) * s});
  std::fill_n(video.ptr<float>(), video.numel(), 9.f);
  decode_bands(ctx, vae.decoder, vae.config, z, bands, [&](int64_t frame, int64_t row, const Tensor& part) {
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t t = 0; t < part.dim(1); ++t) {
        const Tensor from = part.slice(0, c, 1).slice(1, t, 1);
        const Tensor to = video.slice(0, c, 1).slice(1, frame + t, 1).slice(2, row, part.dim(2));
        std::copy_n(from.ptr<const float>(), from.numel(), to.ptr<float>());
      }
  });
  return video;
}

struct Case {
  VaeVersion version;
  DType compute;
};

class BandedDecode : public testing::TestWithParam<Case> {};

TEST_P(BandedDecode, EqualsWholeFrames) {
  const Loaded vae(GetParam().version, GetParam().compute);
  for (const auto [frames, height, width] :
       {std::array<int64_t, 3>{1, 17, 2}, {2, 15, 3}, {3, 22, 2}, {4, 19, 1}, {3, 30, 5}}) {
    const int64_t most = most_decoder_bands(vae.config.up, height);
    ASSERT_GT(most, 1);
    test::CpuContext cpu(GetParam().compute);
    const Tensor z = some_latent(cpu, vae.config.z_dim, frames, height, width);
    const Tensor whole = streamed_decode(cpu.ctx, vae, z);
    for (const int64_t bands : {int64_t{1}, int64_t{2}, int64_t{3}, int64_t{4}, most}) {
      if (bands > most) continue;
      EXPECT_EQ(largest_difference(banded_decode(cpu.ctx, vae, z, bands), whole), 0)
          << frames << " frames of " << height << " x " << width << " in " << bands << " bands";
    }
    EXPECT_THROW(banded_decode(cpu.ctx, vae, z, most + 1), Error);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, BandedDecode,
                         testing::Values(Case{VaeVersion::v21, DType::f32}, Case{VaeVersion::v21, DType::bf16},
                                         Case{VaeVersion::v22, DType::f32}, Case{VaeVersion::v22, DType::bf16}),
                         [](const auto& i) {
                           return std::string(i.param.version == VaeVersion::v21 ? "v21" : "v22") +
                                  (i.param.compute == DType::f32 ? "_f32" : "_bf16");
                         });

}  // namespace
}  // namespace wan::models
