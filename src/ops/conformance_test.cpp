// Every op of every back end against the reference back end. A new back end is one more row of back_ends().
#include <gtest/gtest.h>

#include <functional>

#include "core/error.h"
#include "ops/check.h"
#include "ops/reference.h"
#include "support/op_cases.h"

namespace wan::test {
namespace {

struct BackEnd {
  const ops::KernelTable* table;
  int threads;
  DType dtype;
  double tolerance;  // relative L2 error of each output
};

std::vector<BackEnd> back_ends() {
  return {{&ops::cpu_kernels(), 1, DType::f32, 1e-6},
          {&ops::cpu_kernels(), 2, DType::f32, 1e-6},
          {&ops::cpu_kernels(), 1, DType::bf16, 2e-3},
          {&ops::cpu_kernels(), 2, DType::bf16, 2e-3}};
}

class Conformance : public testing::TestWithParam<BackEnd> {};

TEST_P(Conformance, EveryOpAgreesWithTheReference) {
  const BackEnd& p = GetParam();
  for (const OpCase& c : op_cases(p.dtype)) {
    SCOPED_TRACE(c.name);
    const uint64_t seed = std::hash<std::string>{}(c.name);
    PoisonedMemory memory;
    Arena arena(memory), expected_arena(memory);
    Context ctx{.arena = &arena, .kernels = p.table, .compute = p.dtype, .threads = p.threads};
    Context expected_ctx{.arena = &expected_arena, .kernels = &ops::reference_kernels(), .compute = p.dtype};
    Maker make(seed), make_again(seed);
    const auto actual = c.run(ctx, make), expected = c.run(expected_ctx, make_again);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      ASSERT_EQ(actual[i].shape, expected[i].shape);
      double bound = p.tolerance;
      if (actual[i].dtype == DType::f32 && c.name.starts_with("linear")) bound = 1e-6;  // f32 sums, whatever the inputs
      if (c.name.starts_with("conv_residual")) bound *= 2;  // rounded before and after the addition
      if (c.name.starts_with("attention")) bound *= 2;  // the weights of the values are bf16 too, as FlashAttention's
      EXPECT_LE(ops::relative_error(actual[i], expected[i]), bound) << "output " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(BackEnds, Conformance, testing::ValuesIn(back_ends()), [](const auto& row) {
  return fmt::format("{}_{}_threads{}", row.param.table->name, to_string(row.param.dtype), row.param.threads);
});

TEST(CheckTable, AcceptsEqualBackEndsAndNamesTheOpThatDiffers) {
  Arena arena(host_memory());
  ops::KernelTable broken = ops::cpu_kernels();
  broken.silu = [](Context& ctx, const ops::SiluArgs& a) {
    ops::reference::silu(ctx, a);
    a.y.ptr<float>()[2] += 1.f;
  };
  const auto good = ops::check_kernels(ops::cpu_kernels(), ops::reference_kernels(), 1e-5);
  const auto bad = ops::check_kernels(broken, ops::reference_kernels(), 1e-5);
  Context ctx{.arena = &arena, .kernels = &good};
  for (const OpCase& c : op_cases(DType::f32)) {
    Maker make(7);
    EXPECT_NO_THROW(c.run(ctx, make)) << c.name;
  }
  ctx.kernels = &bad;
  Maker make(1);
  try {
    ops::silu(ctx, make.normal(DType::f32, {3, 5}));
    FAIL() << "the difference went unnoticed";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("y f32 [3, 5]"), std::string::npos) << e.what();
  }
}

TEST(Dispatch, AMissingKernelNamesOpAndBackEnd) {
  Arena arena(host_memory());
  const ops::KernelTable empty{.name = "empty"};
  Context ctx{.arena = &arena, .kernels = &empty};
  Maker make(1);
  try {
    ops::linear(ctx, make.normal(DType::f32, {2, 3}), make.normal(DType::f32, {4, 3}));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(e.what()).find("[linear] the empty back end"), std::string::npos) << e.what();
  }
}

TEST(DryTable, TakesWhatTheCpuTakes) {
  for (const OpCase& c : op_cases(DType::f32)) {
    DryMemory nowhere;
    Arena measured(nowhere), used(host_memory());
    Context dry{.arena = &measured, .kernels = &ops::dry_kernels()};
    Context real{.arena = &used, .kernels = &ops::cpu_kernels()};
    Maker make(1);
    c.run(dry, make);
    c.run(real, make);
    EXPECT_NEAR(static_cast<double>(measured.peak()), static_cast<double>(used.peak()), 32768.) << c.name;
  }
}

TEST(DryTable, RunsEveryOpWithoutTouchingMemory) {
  DryMemory memory;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Arena arena(memory);
    Context ctx{.arena = &arena, .kernels = &ops::dry_kernels(), .compute = dtype};
    for (const OpCase& c : op_cases(dtype)) {
      Maker make(1);
      EXPECT_NO_THROW(c.run(ctx, make)) << c.name;
    }
    EXPECT_GT(arena.peak(), 0);
  }
  EXPECT_EQ(memory.in_use(), 0);
}

}  // namespace
}  // namespace wan::test
