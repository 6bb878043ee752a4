#include "ops/mirror.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <map>

#include "core/error.h"
#include "ops/check.h"
#include "ops/host_copy.h"
#include "support/op_cases.h"

namespace wan::test {
namespace {

/// Memory that says it is a GPU's, and that the host can touch as little: only copies, and kernels that open it, can.
class FakeGpuMemory final : public MemoryResource {
 public:
  void* allocate(int64_t bytes) override {
    const auto size = static_cast<size_t>(std::max<int64_t>(bytes, 1));
    void* memory = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(memory != MAP_FAILED, ErrorCode::out_of_memory, "[fake GPU] no memory");
    sizes_[memory] = size;
    return memory;
  }
  void deallocate(void* memory, int64_t) noexcept override {
    munmap(memory, sizes_[memory]);
    sizes_.erase(memory);
  }
  Device device() const noexcept override { return {Device::Kind::cuda, 0}; }
  void upload(void* destination, const void* host, int64_t bytes) override { copy(destination, host, bytes); }
  void download(void* host, const void* source, int64_t bytes) override { copy(host, source, bytes); }
  void fill_zero(void* memory, int64_t bytes) override {
    protect(PROT_READ | PROT_WRITE);
    host_memory().fill_zero(memory, bytes);
    protect(PROT_NONE);
  }
  void protect(int protection) {
    for (const auto& [memory, size] : sizes_) mprotect(memory, size, protection);
  }

 private:
  void copy(void* to, const void* from, int64_t bytes) {
    protect(PROT_READ | PROT_WRITE);
    host_memory().upload(to, from, bytes);
    protect(PROT_NONE);
  }
  std::map<void*, size_t> sizes_;
};

/// The CPU's kernels as those of the fake GPU.
template <auto Entry, class Args>
void run_there(Context& ctx, const Args& args) {
  auto& memory = static_cast<FakeGpuMemory&>(ctx.arena->memory());
  Arena scratch(host_memory());
  Context inner = ctx;
  inner.arena = &scratch;
  inner.kernels = &ops::cpu_kernels();
  memory.protect(PROT_READ | PROT_WRITE);
  (ops::cpu_kernels().*Entry)(inner, args);
  memory.protect(PROT_NONE);
}

ops::KernelTable fake_gpu_kernels() {
#define WAN_ENTRY(op, Args) .op = run_there<&ops::KernelTable::op, ops::Args>,
  return {.name = "fake", WAN_FOR_EACH_OP(WAN_ENTRY)};
#undef WAN_ENTRY
}

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
  const ops::KernelTable fake = fake_gpu_kernels();
  ops::KernelTable broken = fake;
  broken.gelu_mul = [](Context&, const ops::GeluMulArgs&) {};
  const auto mirror = ops::mirror_kernels(ops::cpu_kernels(), host);
  const auto good = ops::check_kernels(fake, mirror, 1e-6);
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
