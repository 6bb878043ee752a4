#include "core/memory.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/error.h"

namespace wan {
namespace {

constexpr int64_t mib = int64_t{1} << 20;

Tensor bytes(Arena& arena, int64_t n) { return arena.make(DType::u8, {n}); }

TEST(Arena, GivesBackWhatAScopeTook) {
  DryMemory memory;
  Arena arena(memory);
  const Tensor kept = bytes(arena, 100);
  void* inside = nullptr;
  {
    const auto scope = arena.scope();
    inside = bytes(arena, 1000).data;
    bytes(arena, 3 * mib);
  }
  EXPECT_EQ(bytes(arena, 10).data, inside);
  EXPECT_NE(kept.data, inside);
  EXPECT_EQ(arena.peak(), 256 + 1024 + 3 * mib);
}

// Growing tensors, as a decoder's: without merging, every block that was too small would stay.
TEST(Arena, ARepeatedComputationHoldsLittleMoreThanItsPeak) {
  DryMemory memory;
  Arena arena(memory);
  const auto computation = [&] {
    const auto outer = arena.scope();
    bytes(arena, 2 * mib);
    for (int64_t size = mib; size <= 64 * mib; size *= 2) {
      const auto scope = arena.scope();
      bytes(arena, size);
      const auto inner = arena.scope();
      bytes(arena, size / 2);
      bytes(arena, 3 * size / 4);
    }
  };
  for (int i = 0; i < 3; ++i) computation();
  EXPECT_EQ(arena.peak(), 2 * mib + 64 * mib * 9 / 4);
  EXPECT_LE(memory.in_use(), arena.peak() + 2 * mib);
  const int64_t settled = memory.in_use();
  computation();
  EXPECT_EQ(memory.in_use(), settled);
}

TEST(Arena, LiveTensorsKeepTheirMemory) {
  Arena arena(host_memory());
  const Tensor first = bytes(arena, 2 * mib);
  const Tensor second = bytes(arena, 5 * mib);
  std::memset(first.data, 1, static_cast<size_t>(first.nbytes()));
  std::memset(second.data, 2, static_cast<size_t>(second.nbytes()));
  for (int64_t n = 1; n <= 8; ++n) {
    const auto scope = arena.scope();
    for (int64_t i = 0; i < n; ++i) {
      const Tensor t = bytes(arena, n * mib);
      std::memset(t.data, 3, static_cast<size_t>(t.nbytes()));
    }
  }
  for (int64_t i = 0; i < first.nbytes(); ++i) ASSERT_EQ(first.ptr<uint8_t>()[i], 1);
  for (int64_t i = 0; i < second.nbytes(); ++i) ASSERT_EQ(second.ptr<uint8_t>()[i], 2);
}

TEST(Arena, ReleaseForgetsHowMuchWasNeeded) {
  DryMemory memory;
  Arena arena(memory);
  {
    const auto scope = arena.scope();
    bytes(arena, 100 * mib);
  }
  arena.release();
  EXPECT_EQ(memory.in_use(), 0);
  bytes(arena, 10);
  EXPECT_EQ(memory.in_use(), mib);
}

TEST(Arena, RefusesSizesThatDoNotFit) {
  DryMemory memory;
  Arena arena(memory);
  EXPECT_THROW(arena.make(DType::f32, {int64_t{1} << 40, int64_t{1} << 40}), Error);
}

}  // namespace
}  // namespace wan
