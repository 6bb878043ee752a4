#include "parallel/ulysses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/cpu_context.h"
#include "support/thread_ranks.h"

namespace wan::parallel {
namespace {

using testing::Each;

// Element (token, head, channel) of a sequence; 0 is padding.
float value(int64_t token, int64_t head, int64_t c) { return static_cast<float>(1 + (token * 64 + head) * 4 + c); }

TEST(TokenShare, RowsAreEqualAndOnlyTheLastRanksHavePadding) {
  for (int size = 2; size <= 8; ++size)
    for (const int64_t tokens : {1, 5, 7, 72, 75600})
      EXPECT_THAT(test::on_ranks(size,
                                 [&](comm::Communicator& world) {
                                   const Mesh mesh(world, {1, size});
                                   const TokenShare s = share_tokens(mesh.sequence(), tokens);
                                   const int64_t before = std::min(s.rows * world.rank(), tokens);
                                   EXPECT_EQ(s.rows, (tokens + size - 1) / size);
                                   EXPECT_EQ(s.first, before);
                                   EXPECT_EQ(s.real, std::min(s.rows, tokens - before));
                                   EXPECT_EQ(s.of_first(0), 0);
                                   EXPECT_EQ(s.of_first(before + 1), 1);
                                   EXPECT_EQ(s.of_first(tokens), s.real);
                                 }),
                  Each(""));
}

TEST(TokenShare, OneRankHasAll) {
  const TokenShare s = share_tokens(nullptr, 9);
  EXPECT_EQ(s.rows, 9);
  EXPECT_EQ(s.real, 9);
  EXPECT_EQ(s.of_first(4), 4);
}

// Any number of heads over any number of ranks: heads that exist arrive where they belong, the others are zero, and the
// way back gives every row as it was.
TEST(HeadExchange, EveryHeadArrivesWithAllTokensAndComesBack) {
  constexpr int64_t rows = 3, d = 4;
  for (int size = 2; size <= 8; ++size)
    for (const int64_t heads : {1, 2, 4, 5, 12, 24, 40})
      EXPECT_THAT(test::on_ranks(size,
                                 [&](comm::Communicator& world) {
                                   test::CpuContext cpu;
                                   const Mesh mesh(world, {1, size});
                                   const int64_t per_rank = (heads + size - 1) / size, r = world.rank();
                                   std::vector<float> mine;
                                   for (int64_t i = 0; i < rows; ++i)
                                     for (int64_t h = 0; h < heads; ++h)
                                       for (int64_t c = 0; c < d; ++c) mine.push_back(value(r * rows + i, h, c));
                                   const Tensor x = cpu.from(mine, {rows, heads * d});
                                   const HeadExchange exchange(cpu.ctx, *mesh.sequence(), heads, d, rows, DType::f32);
                                   const Tensor there = exchange.to_heads(cpu.ctx, x);
                                   ASSERT_EQ(there.shape, (Shape{size * rows, per_rank, d}));
                                   std::vector<float> expected;
                                   for (int64_t t = 0; t < size * rows; ++t)
                                     for (int64_t h = r * per_rank; h < (r + 1) * per_rank; ++h)
                                       for (int64_t c = 0; c < d; ++c)
                                         expected.push_back(h < heads ? value(t, h, c) : 0);
                                   ASSERT_EQ(test::values(there), expected) << size << " ranks, " << heads << " heads";

                                   std::copy_n(there.ptr<float>(), there.numel(), exchange.result().ptr<float>());
                                   const Tensor back = cpu.from(std::vector<float>(mine.size(), -1), x.shape);
                                   exchange.to_tokens(cpu.ctx, there, back);
                                   ASSERT_EQ(test::values(back), mine) << size << " ranks, " << heads << " heads";
                                 }),
                  Each(""));
}

TEST(GatherTokens, LeavesThePaddingOut) {
  EXPECT_THAT(test::on_ranks(3,
                             [](comm::Communicator& world) {
                               test::CpuContext cpu;
                               const Mesh mesh(world, {1, 3});
                               cpu.ctx.mesh = &mesh;
                               const auto r = static_cast<float>(world.rank());
                               const Tensor part = cpu.from({r, r + 10}, {2, 1});
                               const Tensor all = gather_tokens(cpu.ctx, part, share_tokens(mesh.sequence(), 5));
                               EXPECT_EQ(test::values(all), (std::vector<float>{0, 10, 1, 11, 2}));
                             }),
              Each(""));
}

}  // namespace
}  // namespace wan::parallel
