// Every op of the CUDA back end against the reference back end, and the check table on a GPU.
#include <gtest/gtest.h>

#include <functional>

#include "ops/check.h"
#include "ops/host_copy.h"
#include "ops/mirror.h"
#include "ops/reference.h"
#include "support/gpu_context.h"
#include "support/op_cases.h"

namespace wan::test {
namespace {

class GpuConformance : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    if (const std::string reason = no_gpu(); !reason.empty()) GTEST_SKIP() << reason;
  }
};

/// The relative L2 error that an output may have.
double bound_of(const OpCase& c, DType inputs, DType output) {
  if (output == DType::f32 && c.name.starts_with("linear")) return inputs == DType::f32 ? 2e-6 : 1e-5;
  if (inputs == DType::f32) return c.name.starts_with("attention") || c.name.starts_with("conv") ? 4e-6 : 2e-6;
  // A bias may be rounded to bf16 before it is added, and cuDNN's weights of the values are bf16 too. A single number
  // can lose more to that than the norm of many.
  if (c.name.starts_with("linear_1x1x1")) return 2e-2;
  return c.name.starts_with("attention") || c.name.starts_with("linear") || c.name.starts_with("conv") ? 4e-3 : 2e-3;
}

TEST_P(GpuConformance, EveryOpAgreesWithTheReference) {
  const DType dtype = GetParam();
  GpuContext gpu(dtype);
  for (const OpCase& c : op_cases(dtype)) {
    SCOPED_TRACE(c.name);
    const uint64_t seed = std::hash<std::string>{}(c.name);
    PoisonedMemory host;
    Arena expected_arena(host);
    Context expected_ctx{.arena = &expected_arena, .kernels = &ops::reference_kernels(), .compute = dtype};
    Maker make(seed, gpu.memory), make_again(seed);
    const auto scope = gpu.arena.scope();
    std::vector<Tensor> actual;
    try {
      actual = c.run(gpu.ctx, make);
      gpu.stream.wait();
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
      continue;
    }
    const auto expected = c.run(expected_ctx, make_again);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      ASSERT_EQ(actual[i].shape, expected[i].shape);
      const ops::HostCopy copy(gpu.memory, actual[i]);
      EXPECT_LE(ops::relative_error(copy.tensor(), expected[i]), bound_of(c, dtype, actual[i].dtype)) << "output " << i;
    }
  }
}

TEST_P(GpuConformance, TheCheckTableComparesWithTheCpu) {
  const DType dtype = GetParam();
  GpuContext gpu(dtype);
  Arena host(host_memory());
  const auto trusted = ops::mirror_kernels(ops::cpu_kernels(), host);
  const auto table = ops::check_kernels(*gpu.kernels, trusted, dtype == DType::f32 ? 1e-5 : 2e-2);
  gpu.ctx.kernels = &table;
  for (const OpCase& c : op_cases(dtype)) {
    Maker make(3, gpu.memory);
    const auto scope = gpu.arena.scope();
    EXPECT_NO_THROW(c.run(gpu.ctx, make)) << c.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, GpuConformance, testing::Values(DType::f32, DType::bf16),
                         [](const auto& row) { return std::string(to_string(row.param)); });

}  // namespace
}  // namespace wan::test
