#include "core/rng.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.h"
#include "support/expected.h"

namespace wan {
namespace {

using test::Expected;

const Expected& golden() {
  static const Expected e(WAN_SOURCE_DIR "/tests/golden/tiny/expected.safetensors");
  return e;
}
const Expected& fixture() {
  static const Expected e(WAN_SOURCE_DIR "/tests/fixtures/sampler/expected.safetensors");
  return e;
}

std::vector<float> draw(RandomStream& rng, size_t n) {
  std::vector<float> values(n);
  rng.fill(values);
  return values;
}

double max_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    worst = std::max(worst, std::abs(double(a[i]) - double(b[i])));
  return worst;
}

/// Torch's values, but for the last bits of sin and log; the difference is kept as a property of the test.
void expect_draws(const std::vector<float>& values, const std::vector<float>& torch, const std::string& name) {
  const double difference = max_difference(values, torch);
  EXPECT_LE(difference, 2e-6) << name;
  testing::Test::RecordProperty(name, fmt::format("{:.2g}", difference));
}

class RngStream : public testing::TestWithParam<Rng> {};

TEST_P(RngStream, SingleCallsMatchGolden) {
  for (const size_t n : {7u, 64u, 1000u, 70001u}) {
    auto rng = make_random_stream(GetParam(), 1234);
    const auto values = draw(*rng, n);
    const std::string key = "randn." + std::string(to_string(GetParam())) + ".seed1234." + std::to_string(n);
    const auto want = golden().f32(key);
    expect_draws({values.end() - static_cast<ptrdiff_t>(want.size()), values.end()}, want, key);
  }
}

struct Stream {
  const char* name;
  uint64_t seed;
  std::vector<size_t> counts;
};

// Successive calls on one generator, seeds beyond 32 bits, and as many values as a 720p clip of 81 frames needs.
TEST_P(RngStream, SuccessiveCallsWideSeedsAndLongStreamsMatchTorch) {
  const std::vector<Stream> streams = {{"seed1234", 1234, {16 * 21 * 90 * 160}},
                                       {"seed42", 42, {7, 70001, 1500000, 5, 3, 300000, 16, 64, 17}},
                                       {"seed0", 0, {64}},
                                       {"seed4294967301", (uint64_t{1} << 32) + 5, {64, 1000}},
                                       {"seed9223372036854775807", INT64_MAX, {64, 15, 15}}};
  for (const Stream& s : streams) {
    auto rng = make_random_stream(GetParam(), s.seed);
    for (size_t call = 0; call < s.counts.size(); ++call) {
      const size_t n = s.counts[call];
      const auto values = draw(*rng, n);
      std::vector<int64_t> index(n);
      std::iota(index.begin(), index.end(), 0);
      if (n > 600) index = fixture().i64("index." + std::to_string(n));
      std::vector<float> picked;
      for (const int64_t i : index) picked.push_back(values[static_cast<size_t>(i)]);
      const auto key = "randn." + std::string(to_string(GetParam())) + "." + s.name + "." + std::to_string(call) + "." +
                       std::to_string(n);
      expect_draws(picked, fixture().f32(key), key);
    }
  }
}

TEST_P(RngStream, EmptyCallsDrawNothing) {
  auto a = make_random_stream(GetParam(), 5);
  auto b = make_random_stream(GetParam(), 5);
  draw(*a, 0);
  EXPECT_EQ(draw(*a, 33), draw(*b, 33));
}

TEST_P(RngStream, MeanAndVarianceAreNormal) {
  auto rng = make_random_stream(GetParam(), 99);
  const auto values = draw(*rng, 1 << 20);
  double sum = 0, square = 0;
  for (const float v : values) sum += v, square += double(v) * double(v);
  EXPECT_NEAR(sum / double(values.size()), 0, 5e-3);
  EXPECT_NEAR(square / double(values.size()), 1, 5e-3);
}

INSTANTIATE_TEST_SUITE_P(Kinds, RngStream, testing::Values(Rng::cuda, Rng::cpu),
                         [](const auto& param) { return std::string(to_string(param.param)); });

TEST(RngCuda, PipelineNoiseIsTheFirstDraw) {
  for (const char* name : {"t2v_unipc", "t2v_dpmpp", "i2v_unipc", "ti2v_t2v_unipc", "ti2v_i2v_unipc"}) {
    const auto want = golden().f32(std::string(name) + ".noise");
    auto rng = make_random_stream(Rng::cuda, 1234);
    expect_draws(draw(*rng, want.size()), want, name);
  }
}

TEST(RngCuda, LaunchShapeChangesOnlyLongStreams) {
  const CudaLaunchShape a40{84, 1536};
  auto h100 = make_random_stream(Rng::cuda, 7);
  auto other = make_random_stream(Rng::cuda, 7, a40);
  const size_t one_launch = 84 * 1536;
  EXPECT_EQ(draw(*h100, one_launch), draw(*other, one_launch));
  const auto x = draw(*h100, one_launch + 1000);
  const auto y = draw(*other, one_launch + 1000);
  EXPECT_TRUE(std::equal(x.begin(), x.begin() + one_launch, y.begin()));
  EXPECT_FALSE(std::equal(x.begin() + one_launch, x.end(), y.begin() + one_launch));
}

TEST(RngCuda, RefusesImpossibleLaunchShapes) {
  for (const CudaLaunchShape shape : {CudaLaunchShape{0, 2048}, CudaLaunchShape{132, 128}, CudaLaunchShape{-1, 2048}}) {
    try {
      make_random_stream(Rng::cuda, 1, shape);
      ADD_FAILURE() << shape.sm_count;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    }
  }
}

TEST(RandomSeed, IsNeverNegativeAndDiffers) {
  const int64_t a = random_seed();
  const int64_t b = random_seed();
  EXPECT_GE(a, 0);
  EXPECT_GE(b, 0);
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace wan
