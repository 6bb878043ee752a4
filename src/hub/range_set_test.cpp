#include "hub/range_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace wan::hub {
namespace {

using testing::ElementsAre;

TEST(RangeSet, MergesWhatTouches) {
  RangeSet set;
  set.add({10, 20});
  set.add({30, 40});
  set.add({5, 5});
  EXPECT_THAT(set.ranges(), ElementsAre(ByteRange{10, 20}, ByteRange{30, 40}));
  EXPECT_THAT(set.missing(50), ElementsAre(ByteRange{0, 10}, ByteRange{20, 30}, ByteRange{40, 50}));
  set.add({20, 30});
  EXPECT_THAT(set.ranges(), ElementsAre(ByteRange{10, 40}));
  set.add({0, 50});
  EXPECT_THAT(set.ranges(), ElementsAre(ByteRange{0, 50}));
  EXPECT_TRUE(set.missing(50).empty());
}

TEST(RangeSet, IsTheSameAsABitPerByte) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    RangeSet set;
    std::vector<bool> bits(64);
    for (int i = 0; i < 12; ++i) {
      const auto first = static_cast<int64_t>(random() % 64);
      const auto end = std::min<int64_t>(64, first + static_cast<int64_t>(random() % 12));
      set.add({first, end});
      for (int64_t k = first; k < end; ++k) bits[static_cast<size_t>(k)] = true;
      ASSERT_EQ(set.total(), std::count(bits.begin(), bits.end(), true));
    }
    std::vector<bool> gaps(64);
    for (const ByteRange& gap : set.missing(64))
      for (int64_t k = gap.first; k < gap.end; ++k) gaps[static_cast<size_t>(k)] = true;
    for (size_t k = 0; k < 64; ++k) ASSERT_NE(gaps[k], bits[k]);
  }
}

}  // namespace
}  // namespace wan::hub
