#include "ops/attention_choice.h"

#include <gtest/gtest.h>

namespace wan::ops::cuda {
namespace {

AttentionProblem problem(int64_t lq, int64_t lk, int64_t heads, int64_t d) {
  const int64_t row = heads * d;
  return {{lq, lk, heads, d, row, row, row, 0.1f}, DType::bf16, false, true};
}

TEST(ChooseAttention, TakesCudnnForTheTransformersShapes) {
  for (const Capability gpu : {Capability{8, 0}, {8, 6}, {8, 9}, {9, 0}, {12, 0}}) {
    EXPECT_EQ(to_string(choose_attention(problem(75600, 75600, 40, 128), gpu)), "cudnn");
    EXPECT_EQ(to_string(choose_attention(problem(27280, 512, 24, 128), gpu)), "cudnn");
  }
}

TEST(ChooseAttention, TakesItsOwnKernelOnHopperForHeadsOf128) {
  const Capability hopper{9, 0, true};
  EXPECT_EQ(to_string(choose_attention(problem(75600, 75600, 40, 128), hopper)), "hopper");
  EXPECT_EQ(to_string(choose_attention(problem(1, 1, 1, 128), hopper)), "hopper");
  EXPECT_EQ(to_string(choose_attention(problem(75600, 75600, 40, 64), hopper)), "cudnn");
  EXPECT_EQ(to_string(choose_attention(problem(75600, 75600, 40, 128), {9, 0})), "cudnn");
  AttentionProblem p = problem(75600, 75600, 40, 128);
  p.shape.scale = 0;
  EXPECT_EQ(to_string(choose_attention(p, hopper)), "cudnn");
  p = problem(10, 10, 2, 128);
  p.aligned = false;
  EXPECT_EQ(choose_attention(p, hopper).reason, "rows are not aligned to 16 bytes");
}

TEST(ChooseAttention, SaysWhyNot) {
  const auto reason = [](AttentionProblem p, Capability gpu = {9, 0}) { return choose_attention(p, gpu).reason; };
  AttentionProblem p = problem(512, 512, 64, 64);
  p.rel_bias = true;
  EXPECT_EQ(reason(p), "a relative bias");
  p = problem(10, 10, 2, 64);
  p.dtype = DType::f32;
  EXPECT_EQ(reason(p), "float32");
  p = problem(10, 10, 2, 64);
  p.shape.k_row += 3;
  EXPECT_EQ(reason(p), "rows are not aligned to 16 bytes");
  EXPECT_EQ(reason(problem(10, 10, 2, 20)), "head dimension 20 is not a multiple of 8");
  EXPECT_EQ(reason(problem(14400, 14400, 1, 384)), "head dimension 384 is above 256");
  EXPECT_EQ(reason(problem(10, 10, 1, 256), {8, 6}), "head dimension 256 is above 128");
  EXPECT_EQ(reason(problem(10, 10, 1, 64), {7, 5}), "compute capability 7.5 is below 8.0");
}

TEST(ChooseAttention, BlocksOfScoresStayWithinTheirBudget) {
  for (const auto& p : {problem(75600, 75600, 40, 128), problem(14400, 14400, 1, 384), problem(1, 1, 1, 1),
                        problem(3, 75600, 40, 128), problem(512, 512, 64, 64)}) {
    const AttentionConfig c = attention_by_products(p, "test");
    EXPECT_GE(c.rows, 1);
    EXPECT_GE(c.heads, 1);
    EXPECT_LE(c.rows, p.shape.lq);
    EXPECT_LE(c.heads, p.shape.heads);
    EXPECT_LE(c.rows * c.heads * p.shape.lk * 4, int64_t{256} << 20);
  }
}

}  // namespace
}  // namespace wan::ops::cuda
