// Ranks that share the bands of a video give what one rank gives: to the bit where a convolution's sums do not depend
// on the size of its image. oneDNN's without AVX-512 do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "models/vae_test_support.h"
#include "support/thread_ranks.h"

namespace wan::models {
namespace {

using namespace test_vae;
using testing::Each;
using testing::HasSubstr;

const std::vector<VaeStage> official = {
    {384, 384, 3, true, true}, {192, 384, 3, true, true}, {192, 192, 3, true, false}, {96, 96, 3}};

TEST(DecoderRanks, AllHaveRowsInEveryLayer) {
  for (const int64_t ranks : {1, 2, 3, 4, 6, 8, 16}) EXPECT_EQ(decoder_ranks(official, 90, ranks, 1), ranks);
  EXPECT_EQ(decoder_ranks(official, 90, 2, 5), 2);
  EXPECT_EQ(decoder_ranks(official, 60, 8, 1), 8);
  EXPECT_LT(decoder_ranks(official, 90, 90, 1), 90);  // the last ones' rows would come after the first layers' end
  EXPECT_EQ(decoder_ranks(official, 6, 8, 1), 1);
}

// The most that a rank has of the image decides the time.
TEST(DecoderRanks, HaveAboutEqualParts) {
  for (const auto& [ranks, most] : {std::pair<int64_t, double>{2, 1.1}, {4, 1.1}, {8, 1.4}}) {
    int64_t largest = 0;
    for (RowBand band : plan_shared_bands(official, 90, ranks)) {
      for (const VaeStage& s : official) band = band.up(s);
      largest = std::max(largest, band.conv().rows());
    }
    EXPECT_LE(static_cast<double>(largest * ranks) / 720, most) << ranks;
  }
}

TEST(DecoderRanks, TakeAsManyBandsTogetherAsOneWould) {
  for (const int64_t height : {6, 30, 44, 90})
    for (const int64_t ranks : {1, 2, 3, 8})
      for (const int64_t bands : {1, 2, 3, 4, 6}) {
        const int64_t each = decoder_bands_each(official, height, ranks, bands);
        EXPECT_GE(each * decoder_ranks(official, height, ranks, each), bands) << height << " " << ranks << " " << bands;
        EXPECT_LE(each, bands);
      }
  EXPECT_EQ(decoder_bands_each(official, 90, 2, 3), 2);
  EXPECT_EQ(decoder_bands_each(official, 6, 2, 3), 3);  // one rank has them all
}

class SharedVae : public testing::TestWithParam<VaeVersion> {};

TEST_P(SharedVae, DecodesWhatOneRankDecodes) {
  for (const DType compute : {DType::f32, DType::bf16}) {
    const Loaded vae(GetParam(), compute);
    struct Sharing {
      int64_t ranks, each, height;
    };
    for (const Sharing& s :
         {Sharing{2, 1, 24}, {2, 3, 27}, {3, 1, 40}, {3, 2, 41}, {4, 1, 23}, {3, 1, 2}, {8, 2, 44}}) {
      const int64_t workers = decoder_ranks(vae.config.up, s.height, s.ranks, s.each);
      EXPECT_EQ(workers > 1, s.height > 2) << s.height;
      std::vector<float> shared;
      std::vector<int64_t> calls(static_cast<size_t>(s.ranks));
      const auto errors = test::on_ranks(static_cast<int>(s.ranks), [&](comm::Communicator& world) {
        test::CpuContext cpu(compute, 1);
        const Tensor z = some_latent(cpu, vae.config.z_dim, 3, s.height, 2);
        const Tensor video = video_of_bands(cpu.ctx, vae, z, [&](const BandSink& sink) {
          decode_shared(cpu.ctx, vae.decoder, vae.config, z, world, s.each,
                        [&](int64_t frame, int64_t row, const Tensor& part) {
                          ++calls[static_cast<size_t>(world.rank())];
                          sink(frame, row, part);
                        });
        });
        if (world.rank() == 0) shared.assign(video.ptr<float>(), video.ptr<float>() + video.numel());
      });
      EXPECT_THAT(errors, Each(""));
      test::CpuContext cpu(compute, 1);
      const Tensor z = some_latent(cpu, vae.config.z_dim, 3, s.height, 2);
      const Tensor alone = workers > 1 ? streamed_decode(cpu.ctx, vae, z) : banded_decode(cpu.ctx, vae, z, s.height);
      ASSERT_EQ(std::ssize(shared), alone.numel());
      const std::vector<float> whole(alone.ptr<float>(), alone.ptr<float>() + alone.numel());
      EXPECT_LE(test::relative_l2(shared, whole), compute == DType::f32 ? 1e-6 : 2e-3)
          << s.ranks << " ranks with " << s.each << " bands of " << s.height << " rows";
      EXPECT_THAT(std::span(calls).subspan(1), Each(0));
    }
  }
}

TEST_P(SharedVae, ARankThatFailsEndsTheOthers) {
  const Loaded vae(GetParam());
  const auto errors = test::on_ranks(2, [&](comm::Communicator& world) {
    test::CpuContext cpu(DType::f32, 1);
    if (world.rank() == 1) cpu.ctx.poll = [] { fail(ErrorCode::device, "rank 1 has failed"); };
    const Tensor z = some_latent(cpu, vae.config.z_dim, 3, 24, 2);
    decode_shared(cpu.ctx, vae.decoder, vae.config, z, world, 1, [](int64_t, int64_t, const Tensor&) {});
  });
  EXPECT_THAT(errors[1], HasSubstr("rank 1 has failed"));
  EXPECT_THAT(errors[0], HasSubstr("rank 1"));
}

TEST_P(SharedVae, RefusesNoBands) {
  const Loaded vae(GetParam());
  EXPECT_THAT(test::on_ranks(2,
                             [&](comm::Communicator& world) {
                               test::CpuContext cpu(DType::f32, 1);
                               const Tensor z = some_latent(cpu, vae.config.z_dim, 1, 24, 2);
                               decode_shared(cpu.ctx, vae.decoder, vae.config, z, world, 0,
                                             [](int64_t, int64_t, const Tensor&) {});
                             }),
              Each(HasSubstr("0 bands on each rank")));
}

INSTANTIATE_TEST_SUITE_P(Versions, SharedVae, testing::Values(VaeVersion::v21, VaeVersion::v22),
                         [](const auto& i) { return std::string(i.param == VaeVersion::v21 ? "v21" : "v22"); });

}  // namespace
}  // namespace wan::models
