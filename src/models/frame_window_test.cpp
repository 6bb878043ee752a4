#include "models/frame_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "support/cpu_context.h"

namespace wan::models {
namespace {

const Shape frame{1, 2, 3, 4};
constexpr int64_t frame_bytes = 2 * 3 * 4 * 4;

float* slot(const Tensor& history, int64_t i) { return history.slice(0, i, 1).ptr<float>(); }

// However many windows share a pool: three frames at equal distances, and no frame of history twice.
TEST(FramePools, PlacesLieAtEqualDistancesAndApart) {
  for (const int64_t windows : {1, 2, 3, 8, 9, 12}) {
    test::CpuContext cpu;
    FramePools pools;
    pools.expect(frame, windows);
    std::set<float*> seen, newest;
    for (int64_t i = 0; i < windows; ++i) {
      const auto place = pools.open(cpu.ctx, DType::f32, frame);
      std::array<float*, 3> at{slot(place.history, 0), slot(place.history, 1), place.newest.ptr<float>()};
      seen.insert({at[0], at[1]});
      newest.insert(at[2]);
      std::sort(at.begin(), at.end());
      EXPECT_EQ(at[1] - at[0], at[2] - at[1]) << windows << " " << i;
      for (int64_t j = 0; j < 2 * 24; ++j) EXPECT_EQ(slot(place.history, j / 24)[j % 24], 0.f);
    }
    EXPECT_EQ(std::ssize(seen), 2 * windows);
    for (float* p : newest) EXPECT_FALSE(seen.contains(p));
    EXPECT_EQ(pools.bytes(), (2 * windows + std::ssize(newest)) * frame_bytes) << windows;
    EXPECT_EQ(std::ssize(newest), windows / 8 + (windows % 8 > 0));
  }
}

TEST(FrameWindow, KeepsTheLastTwoFrames) {
  test::CpuContext cpu;
  FramePools pools;
  pools.expect(frame, 2);
  FrameWindow a, b;
  for (int i = 1; i <= 5; ++i)
    for (FrameWindow* w : {&a, &b}) {
      const float value = static_cast<float>(w == &a ? i : -i), past = w == &a ? 1.f : -1.f;
      const Tensor next = w->next(cpu.ctx, pools, DType::f32, frame);
      std::fill_n(next.ptr<float>(), next.numel(), value);
      const int64_t newer = w->newest_first() ? 0 : 1;
      EXPECT_EQ(slot(w->history(), newer)[5], past * static_cast<float>(i - 1));
      EXPECT_EQ(slot(w->history(), 1 - newer)[5], past * static_cast<float>(std::max(i - 2, 0)));
      w->push(cpu.ctx);
    }
  EXPECT_THROW(a.next(cpu.ctx, pools, DType::f32, {1, 2, 3, 5}), Error);
}

// Nobody writes to rows of zeros: a frame with other such rows may not lie there.
TEST(FramePools, FramesShareAPlaceOnlyWithTheSameRowsOfZeros) {
  test::CpuContext cpu;
  FramePools pools;
  for (const ZeroRows zeros : {ZeroRows{}, ZeroRows{1, 0}, ZeroRows{0, 1}}) pools.expect(frame, 2, zeros);
  std::set<float*> newest;
  for (const ZeroRows zeros : {ZeroRows{1, 0}, ZeroRows{}, ZeroRows{0, 1}, ZeroRows{}, ZeroRows{1, 0}, ZeroRows{0, 1}})
    newest.insert(pools.open(cpu.ctx, DType::f32, frame, zeros).newest.ptr<float>());
  EXPECT_EQ(newest.size(), 3);
  EXPECT_EQ(pools.bytes(), 15 * frame_bytes);
}

TEST(FramePools, AnUnexpectedWindowGetsItsOwnMemory) {
  test::CpuContext cpu;
  FramePools pools;
  pools.open(cpu.ctx, DType::f32, frame);
  pools.open(cpu.ctx, DType::bf16, frame);
  EXPECT_EQ(pools.bytes(), 3 * frame_bytes + 3 * frame_bytes / 2);
}

}  // namespace
}  // namespace wan::models
