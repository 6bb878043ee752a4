#include "io/text_clean.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "io/ftfy_fix_text.h"
#include "io/text_unicode.h"
#include "wan/error.h"

namespace wan::io {
namespace {

using testing::HasSubstr;

nlohmann::json read_fixture(const std::string& name) {
  std::ifstream file(std::string(WAN_SOURCE_DIR) + "/tests/fixtures/text/" + name);
  return nlohmann::json::parse(file);
}

std::string repeat(std::string_view unit, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += unit;
  return out;
}

std::string message_of(const std::string& prompt) {
  try {
    clean_prompt(prompt);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "no error";
}

double seconds(const std::string& prompt) {
  const auto start = std::chrono::steady_clock::now();
  try {
    clean_prompt(prompt);
  } catch (const Error&) {  // a refusal counts too, if it is quick
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

uint64_t fnv1a(std::string_view bytes) {
  uint64_t value = 0xCBF29CE484222325;
  for (const char b : bytes) value = (value ^ static_cast<unsigned char>(b)) * 0x100000001B3;
  return value;
}

TEST(CleanPrompt, EqualsUpstreamOnAwkwardText) {
  const nlohmann::json cases = read_fixture("clean.json");
  ASSERT_GE(cases.size(), 250U);
  for (const nlohmann::json& c : cases) {
    const auto text = c["text"].get<std::string>();
    EXPECT_EQ(clean_prompt(text), c["clean"].get<std::string>()) << "text: " << c["text"].dump(-1, ' ', true);
  }
}

TEST(FixText, EqualsFtfyOnTextOfSeveralSegments) {
  for (const nlohmann::json& c : read_fixture("long.json")) {
    std::string text;
    for (const nlohmann::json& part : c["parts"])
      text += repeat(part[0].get<std::string>(), part[1].get<std::size_t>());
    const std::u32string fixed = ftfy::fix_text(decode_utf8(text, "test"));
    EXPECT_EQ(fixed.size(), c["length"].get<std::size_t>()) << c["parts"];
    EXPECT_EQ(fmt::format("{:016x}", fnv1a(encode_utf8(fixed))), c["fnv1a"].get<std::string>()) << c["parts"];
  }
}

TEST(CleanPrompt, RefusesWhatIsNoText) {
  EXPECT_THAT(message_of("ab\xFFz"), HasSubstr("[prompt] byte 2 (0xFF) is not valid UTF-8"));
  EXPECT_THAT(message_of("a\xC3"), HasSubstr("byte 1 (0xC3)"));
  EXPECT_THAT(message_of("\xC0\x80"), HasSubstr("not valid UTF-8"));          // overlong
  EXPECT_THAT(message_of("\xE0\x9F\xBF"), HasSubstr("not valid UTF-8"));      // overlong
  EXPECT_THAT(message_of("\xED\xA0\x80"), HasSubstr("not valid UTF-8"));      // a surrogate
  EXPECT_THAT(message_of("\xF4\x90\x80\x80"), HasSubstr("not valid UTF-8"));  // above U+10FFFF
  EXPECT_THAT(message_of(std::string("a\0b", 3)), HasSubstr("[prompt] byte 1 is NUL"));
  EXPECT_THAT(message_of(std::string(10'000'000, 'a')), HasSubstr("has 10000000 bytes, at most 65536"));
  EXPECT_THAT(message_of(repeat("&amp;", 1'000'000)), HasSubstr("at most 65536"));
}

TEST(CleanPrompt, AcceptsTheLongestPrompt) {
  EXPECT_EQ(clean_prompt(std::string(kMaxPromptBytes, 'a')), std::string(kMaxPromptBytes, 'a'));
  EXPECT_EQ(message_of(std::string(kMaxPromptBytes + 1, 'a')).substr(0, 8), "[prompt]");
}

TEST(CleanPrompt, NestsReferencesAsDeepAsAnyoneWould) {
  const auto nested = [](std::size_t depth) { return fmt::format("&{}lt;", repeat("amp;", depth)); };
  EXPECT_EQ(clean_prompt(nested(200)), "<");
  EXPECT_THAT(message_of(nested(1000)), HasSubstr("nested more than 256 deep"));
}

// Each of these is quadratic in a careless implementation (minutes); here every one takes well under a second.
TEST(CleanPrompt, TakesBoundedTimeOnHostileText) {
  const std::size_t n = kMaxPromptBytes;
  const std::string hostile[] = {
      repeat("&amp;", n / 5),
      std::string("é&") + repeat("amp;", n / 4 - 2),
      repeat("&", n / 5) + repeat("#1;", n / 5),
      repeat("&#", n / 2),
      std::string("&#") + std::string(n - 2, '9'),
      std::string("&#x") + std::string(n - 3, 'f'),
      repeat("&NotEqualTilde", n / 14),
      repeat("\x1b[", n / 2),
      repeat("\x1b[1", n / 3),
      std::string("\x1b[") + std::string(n - 2, ';'),
      std::string("a") + repeat("\xCC\x81", n / 4 - 1) +
          repeat("\xCC\xA3", n / 4 - 1),          // combining marks in descending class
      repeat("\xE0\xBD\xB3\xE0\xBD\xB2", n / 6),  // compound Tibetan vowels
      repeat("\xC3\x83", n / 2),
      repeat("\xC3\x83\xC2\x82", n / 4),
      repeat("\xC3\xA2\xE2\x82\xAC", n / 5),
      repeat("\xC3\x83 ", n / 3),
      repeat("\xEF\xBF\xBD\xC3\x83", n / 5),
      repeat("\xC2\x80", n / 2),
      repeat("\r", n),
      repeat("<\n", n / 2),
      repeat("\xC3\x83\xC2\xA9\n", n / 5),
  };
#if defined(__has_feature)
  constexpr double limit = __has_feature(address_sanitizer) ? 60 : 10;  // up to 24 s were seen
#else
  constexpr double limit = 10;  // leaves room for a busy machine
#endif
  for (const std::string& text : hostile) {
    ASSERT_LE(text.size(), n);
    EXPECT_LT(seconds(text), limit) << text.substr(0, 20);
  }
}

TEST(NormalizeNfc, LongRunsOfMarksEqualShortOnes) {
  const std::u32string marks = U"\u0301\u0323\u0344\u0f73\u0f72\u0f71\u3099\u0340";
  std::u32string shuffled = U"a";
  for (int i = 0; i < 10; ++i) shuffled += marks;
  // Canonical order by hand: by class (8: 3099, 129: 0f71, 130: 0f72, 220: 0323, 230: the rest in their order).
  std::u32string expected = U"\u1EA1";  // a + U+0323 compose across the marks of other classes
  const auto add = [&](std::u32string_view s, int count) {
    for (int i = 0; i < count; ++i) expected += s;
  };
  add(U"\u3099", 10);
  add(U"\u0f71", 20);
  add(U"\u0f72", 20);
  add(U"\u0323", 9);
  add(U"\u0301\u0308\u0301\u0300", 10);
  EXPECT_EQ(normalize_nfc(shuffled), expected);
}

}  // namespace
}  // namespace wan::io
