#include "io/ftfy_badness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "io/ftfy_tables.h"
#include "io/text_unicode.h"

namespace wan::io::ftfy {
namespace {

TEST(IsBad, EqualsFtfyOnTriplesOfEveryCategory) {
  std::ifstream file(std::string(WAN_SOURCE_DIR) + "/tests/fixtures/text/badness.json");
  const nlohmann::json fixture = nlohmann::json::parse(file);
  const std::u32string chars = decode_utf8(fixture["chars"].get<std::string>(), "fixture");
  const auto bad = fixture["bad"].get<std::string>();
  ASSERT_GE(chars.size(), 50U);
  std::size_t bit = 0;
  for (const char32_t a : chars) {
    for (const char32_t b : chars) {
      for (const char32_t c : chars) {
        const int digit = std::stoi(bad.substr(bit / 4, 1), nullptr, 16);
        const std::u32string text{a, b, c};
        ASSERT_EQ(is_bad(text), ((digit >> (3 - bit % 4)) & 1) != 0) << encode_utf8(text);
        ++bit;
      }
    }
  }
  EXPECT_EQ((bit + 3) / 4, bad.size());
}

TEST(IsBad, LongerSequences) {
  EXPECT_TRUE(is_bad(U"ГўВЂВ™s"));
  EXPECT_FALSE(is_bad(U"ГўВЂВ\ns"));
  EXPECT_FALSE(is_bad(U"ГўВЂВ"));
  EXPECT_TRUE(is_bad(U"Ø–Ù–"));
  EXPECT_FALSE(is_bad(U"Ø–"));
  EXPECT_TRUE(is_bad(U"a Ã b"));
  EXPECT_FALSE(is_bad(U""));
}

TEST(FtfyTables, AreSortedForBinarySearch) {
  EXPECT_TRUE(std::is_sorted(kClasses.begin(), kClasses.end(),
                             [](const ClassEntry& a, const ClassEntry& b) { return a.code_point < b.code_point; }));
  for (const CodePage& page : kCodePageTable) {
    EXPECT_TRUE(std::is_sorted(page.high.begin(), page.high.end(), [](const CodePageEntry& a, const CodePageEntry& b) {
      return a.code_point < b.code_point;
    })) << page.name;
  }
}

}  // namespace
}  // namespace wan::io::ftfy
