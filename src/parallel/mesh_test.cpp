#include "parallel/mesh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "support/cpu_context.h"
#include "support/thread_ranks.h"

namespace wan::parallel {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

/// Every rank's number, gathered in a group.
std::vector<float> ranks_of(Context& ctx, const Group& group, int rank) {
  const auto scope = ctx.arena->scope();
  const Tensor mine = ctx.make(DType::f32, {1}), all = ctx.make(DType::f32, {group.size(), 1});
  mine.ptr<float>()[0] = static_cast<float>(rank);
  group.all_gather(ctx, mine, all);
  return test::values(all);
}

TEST(Mesh, GroupsHoldTheRanksThatTheirAxisSays) {
  for (int size = 1; size <= 8; ++size)
    for (int guidance = 1; guidance <= 2; ++guidance) {
      if (size % guidance != 0) continue;
      const int sequence = size / guidance;
      EXPECT_THAT(test::on_ranks(size,
                                 [&](comm::Communicator& world) {
                                   test::CpuContext cpu;
                                   const Mesh mesh(world, {guidance, sequence});
                                   const int r = world.rank();
                                   ASSERT_EQ(mesh.guidance() != nullptr, guidance > 1);
                                   ASSERT_EQ(mesh.sequence() != nullptr, sequence > 1);
                                   std::vector<float> branches, parts;
                                   for (int g = 0; g < guidance; ++g)
                                     branches.push_back(static_cast<float>(g * sequence + r % sequence));
                                   for (int s = 0; s < sequence; ++s)
                                     parts.push_back(static_cast<float>(r / sequence * sequence + s));
                                   if (guidance > 1) {
                                     EXPECT_EQ(mesh.guidance()->rank(), r / sequence);
                                     EXPECT_EQ(ranks_of(cpu.ctx, *mesh.guidance(), r), branches);
                                   }
                                   if (sequence > 1) {
                                     EXPECT_EQ(mesh.sequence()->rank(), r % sequence);
                                     EXPECT_EQ(ranks_of(cpu.ctx, *mesh.sequence(), r), parts);
                                   }
                                 }),
                  Each(""));
    }
}

TEST(Mesh, SizesThatAreNotTheWorldsAreRefusedOnEveryRank) {
  EXPECT_THAT(test::on_ranks(3,
                             [](comm::Communicator& world) {
                               const Mesh mesh(world, {2, 2});
                             }),
              Each(AllOf(HasSubstr("4 ranks, but 3 are running"), HasSubstr("product is 3"))));
  EXPECT_THAT(test::on_ranks(3,
                             [](comm::Communicator& world) {
                               const Mesh mesh(world, {3, 1});
                             }),
              Each(HasSubstr("expected 1 or 2 groups")));
}

TEST(Mesh, AnErrorOfAGroupSaysWhichRanksOfAllItHas) {
  const auto errors = test::on_ranks(4, [](comm::Communicator& world) {
    test::CpuContext cpu;
    const Mesh mesh(world, {2, 2});
    if (world.rank() != 3) ranks_of(cpu.ctx, *mesh.sequence(), world.rank());
  });
  EXPECT_EQ(errors[0], "");
  EXPECT_EQ(errors[1], "");
  EXPECT_THAT(errors[2], AllOf(HasSubstr("rank 1, which has ended"), HasSubstr("sequence group of ranks 2, 3")));
}

TEST(Group, TensorsWithoutAPartForEachRankAreRefused) {
  test::on_ranks(2, [](comm::Communicator& world) {
    test::CpuContext cpu;
    const Mesh mesh(world, {1, 2});
    const Tensor part = cpu.ctx.make(DType::f32, {3}), three = cpu.ctx.make(DType::f32, {3, 2});
    const Tensor two = cpu.ctx.make(DType::f32, {2, 2});
    EXPECT_THROW(mesh.sequence()->all_gather(cpu.ctx, part, two), Error);
    EXPECT_THROW(mesh.sequence()->all_to_all(cpu.ctx, three, three), Error);
    EXPECT_THROW(mesh.sequence()->all_to_all(cpu.ctx, two, three), Error);
  });
}

TEST(Mesh, DryOneHasGroupsThatDoNothing) {
  test::CpuContext cpu;
  const Mesh mesh = Mesh::dry({2, 4});
  EXPECT_EQ(mesh.sequence()->size(), 4);
  EXPECT_EQ(mesh.guidance()->size(), 2);
  const Tensor all = cpu.from({1, 2, 3, 4}, {4, 1});
  mesh.sequence()->all_to_all(cpu.ctx, all, all);
  EXPECT_EQ(test::values(all), (std::vector<float>{1, 2, 3, 4}));
}

}  // namespace
}  // namespace wan::parallel
