#include "io/printable.h"

#include <gtest/gtest.h>

namespace wan::io {
namespace {

TEST(Printable, EscapesAndShortens) {
  EXPECT_EQ(printable("blocks.0.q"), "'blocks.0.q'");
  EXPECT_EQ(printable("a\x1b[2J\n\xff"), "'a\\x1b[2J\\x0a\\xff'");
  EXPECT_LT(printable(std::string(1'000'000, 'x')).size(), 130u);
}

TEST(HumanBytes, Units) {
  EXPECT_EQ(human_bytes(512), "512 bytes");
  EXPECT_EQ(human_bytes(3'100'000), "3.1 MB");
  EXPECT_EQ(human_bytes_of(3'100'000'000, 9'900'000'000), "3.1 of 9.9 GB");
  EXPECT_EQ(human_bytes_of(9'900'000'000, 9'900'000'001), "9900000000 of 9900000001 bytes");
}

}  // namespace
}  // namespace wan::io
