#include "ops/mirror.h"

#include <gtest/gtest.h>

#include "ops/check.h"
#include "ops/host_copy.h"
#include "support/op_cases.h"

namespace wan::test {
namespace {

/// Host memory that says it is a GPU's, so that the copying can be tested anywhere.
class FakeGpuMemory final : public MemoryResource {
 public:
  void* allocate(int64_t bytes) override { return host_memory().allocate(bytes); }
  void deallocate(void* memory, int64_t bytes) noexcept override { host_memory().deallocate(memory, bytes); }
  Device device() const noexcept override { return {Device::Kind::cuda, 0}; }
  void upload(void* destination, const void* host, int64_t bytes) override {
    host_memory().upload(destination, host, bytes);
  }
  void download(void* host, const void* source, int64_t bytes) override { host_memory().download(host, source, bytes); }
  void fill_zero(void* memory, int64_t bytes) override { host_memory().fill_zero(memory, bytes); }
};

TEST(Mirror, ComputesOnTheHostWhatLivesElsewhere) {
  FakeGpuMemory memory;
  Arena arena(memory), host(host_memory()), direct(host_memory());
  const auto mirror = ops::mirror_kernels(ops::cpu_kernels(), host);
  Context ctx{.arena = &arena, .kernels = &mirror}, expected_ctx{.arena = &direct, .kernels = &ops::cpu_kernels()};
  for (const OpCase& c : op_cases(DType::f32)) {
    Maker make(5, memory), make_again(5);
    const auto actual = c.run(ctx, make), expected = c.run(expected_ctx, make_again);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      EXPECT_EQ(actual[i].device.kind, Device::Kind::cuda);
      const ops::HostCopy copy(memory, actual[i]);
      EXPECT_EQ(ops::relative_error(copy.tensor(), expected[i]), 0) << c.name << " output " << i;
    }
  }
}

TEST(Mirror, TheCheckTableNoticesADifferenceOnADevice) {
  FakeGpuMemory memory;
  Arena arena(memory), host(host_memory());
  ops::KernelTable broken = ops::cpu_kernels();
  broken.gelu_mul = [](Context&, const ops::GeluMulArgs& a) { a.a.ptr<float>()[0] += 1.f; };
  const auto mirror = ops::mirror_kernels(ops::cpu_kernels(), host);
  const auto good = ops::check_kernels(ops::cpu_kernels(), mirror, 1e-6);
  const auto bad = ops::check_kernels(broken, mirror, 1e-6);
  Context ctx{.arena = &arena, .kernels = &good};
  for (const OpCase& c : op_cases(DType::f32)) {
    Maker make(6, memory);
    EXPECT_NO_THROW(c.run(ctx, make)) << c.name;
  }
  ctx.kernels = &bad;
  Maker make(6, memory);
  EXPECT_THROW(ops::gelu_mul(ctx, make.normal(DType::f32, {4, 4}), make.normal(DType::f32, {4, 4})), std::exception);
}

}  // namespace
}  // namespace wan::test
