// The parts on memory that does not exist: what the official models have to compute, and the least time for it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bench/parts.h"

namespace wan::bench {
namespace {

constexpr const char* h100 = "NVIDIA H100 80GB HBM3";

struct Dry {
  explicit Dry(std::string gpu = h100)
      : machine({}, engine::Backend{.memory = {std::shared_ptr<void>(), &memory},
                                    .kernels = {std::shared_ptr<void>(), &ops::dry_kernels()},
                                    .synchronise = [] {},
                                    .compute = DType::bf16,
                                    .name = std::move(gpu)}) {}
  DryMemory memory;
  Machine machine;
};

Plan plan_of(Task task, int64_t width, int64_t height, int64_t frames) {
  return {task, engine::official_dimensions(task), width, height, frames, 1, 1};
}

struct Whole {
  Task task;
  int64_t width, height, frames;
  double dit_tflop, dit_floor, weights_gb, decode_tflop, decode_floor;
};

class Official : public testing::TestWithParam<Whole> {};

// Floors: matrix products and attention at the H100's rates, and every op's bytes once.
TEST_P(Official, ModelsTakeTheKnownWork) {
  const Whole& w = GetParam();
  Dry dry;
  const Plan plan = plan_of(w.task, w.width, w.height, w.frames);
  const BenchPart dit = bench_dit(dry.machine, plan);
  EXPECT_NEAR(dit.tflop / w.dit_tflop, 1, 0.01);
  ASSERT_TRUE(dit.floor_seconds.has_value());
  EXPECT_NEAR(*dit.floor_seconds / w.dit_floor, 1, 0.06);
  EXPECT_NEAR(static_cast<double>(dit.weight_bytes) / 1e9 / w.weights_gb, 1, 0.01);
  EXPECT_EQ(dit.layers_run, 1);
  EXPECT_EQ(dit.layers, plan.dimensions.dit.layers);
  const int64_t tokens = (w.frames + 3) / 4 * (w.height / plan.dimensions.height_step()) *
                         (w.width / plan.dimensions.width_step()),
                dim = plan.dimensions.dit.dim;
  const auto row = std::ranges::find(dit.ops, fmt::format("linear bf16 {}x{}x{}", tokens, dim, dim), &BenchOps::name);
  ASSERT_TRUE(row != dit.ops.end());
  EXPECT_EQ(row->calls, 6 * static_cast<double>(dit.layers));  // q, k, v, o; q and o of cross-attention
  const BenchPart decode = bench_vae(dry.machine, plan).back();
  EXPECT_EQ(decode.name, "vae_decode");
  EXPECT_NEAR(decode.tflop / w.decode_tflop, 1, 0.02);
  EXPECT_NEAR(*decode.floor_seconds / w.decode_floor, 1, 0.06);
  EXPECT_EQ(dry.machine.memory().in_use(), dry.memory.in_use());
}

INSTANTIATE_TEST_SUITE_P(Table, Official,
                         testing::Values(Whole{Task::t2v_A14B, 1280, 720, 81, 6520, 9.53, 28.12, 639, 1.52},
                                         Whole{Task::t2v_A14B, 832, 480, 81, 1680, 2.47, 28.12, 277, 0.656},
                                         Whole{Task::ti2v_5B, 704, 1280, 121, 520, 0.77, 9.83, 2011, 3.2}));

TEST(BenchT5, TakesTheKnownWork) {
  Dry dry;
  const BenchPart t5 = bench_t5(dry.machine, plan_of(Task::t2v_A14B, 1280, 720, 81));
  EXPECT_NEAR(t5.tflop, 4.845, 0.1);
  EXPECT_NEAR(static_cast<double>(t5.weight_bytes) / 1e9, 11.36, 0.1);
}

TEST(Bench, NoFloorWhereNoRatesAreKnown) {
  Dry dry("NVIDIA X1");
  const BenchPart t5 = bench_t5(dry.machine, plan_of(Task::t2v_A14B, 1280, 720, 81));
  EXPECT_FALSE(t5.floor_seconds.has_value());
  EXPECT_FALSE(t5.families.front().floor_seconds.has_value());
}

TEST(Synthetic, WeightsHaveTheSizeThatKeepsASignal) {
  weights::PlainUpload upload(host_memory(), 1 << 16);
  NormalFill fill(upload);
  using weights::WeightKind;
  const std::vector<weights::WeightSpec> specs = {{"a.weight", {300, 400}, WeightKind::matrix},
                                                  {"c.weight", {10, 16, 3, 3, 3}, WeightKind::conv},
                                                  {"norm1.weight", {5000}, WeightKind::vector},
                                                  {"a.bias", {5000}, WeightKind::vector}};
  const SyntheticSet set(specs, DType::bf16, host_memory(), fill);
  const auto statistics = [](const Tensor& t) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < t.numel(); ++i) {
      const double v = t.dtype == DType::bf16 ? static_cast<float>(t.ptr<bf16>()[i]) : t.ptr<float>()[i];
      sum += v;
      squares += v * v;
    }
    const double n = static_cast<double>(t.numel()), mean = sum / n;
    return std::pair(mean, std::sqrt(squares / n - mean * mean));
  };
  const auto check = [&](size_t i, DType dtype, const Shape& shape, double mean, double deviation) {
    const Tensor& t = set.tensors()[i];
    EXPECT_EQ(t.dtype, dtype) << i;
    EXPECT_TRUE(t.shape == shape) << i;
    const auto [m, d] = statistics(t);
    EXPECT_NEAR(m, mean, deviation / 10) << i;
    EXPECT_NEAR(d / deviation, 1, 0.05) << i;
  };
  check(0, DType::bf16, {300, 400}, 0, 1 / std::sqrt(400.0));
  check(1, DType::bf16, {10, 3, 3, 3, 16}, 0, 1 / std::sqrt(432.0));
  check(2, DType::f32, {5000}, 1, 0.02);
  check(3, DType::f32, {5000}, 0, 0.02);
}

TEST(Extrapolate, IsALineThroughNoneAndSome) {
  BenchPart none, some;
  none.median_seconds = 1;
  none.families = {{"linear", 2, 1, 0, std::nullopt}};
  some.layers_run = 2;
  some.median_seconds = 2;
  some.seconds = {2, 3};
  some.floor_seconds = 4;
  some.families = {{"linear", 4, 2, 0, std::nullopt}, {"norms", 3, 3, 0, 1.0}};
  const BenchPart all = extrapolate(some, none, 10);
  EXPECT_EQ(all.median_seconds, 6);
  EXPECT_THAT(all.seconds, testing::ElementsAre(6, 11));
  EXPECT_EQ(*all.floor_seconds, 20);
  EXPECT_EQ(all.families[0].name, "norms");  // the longest
  EXPECT_EQ(all.families[0].seconds, 15);
  EXPECT_EQ(*all.families[0].floor_seconds, 5);
  EXPECT_EQ(all.families[1].calls, 12);
}

}  // namespace
}  // namespace wan::bench
