#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace wan::io::ftfy {

/// The roles a character plays in UTF-8 that was read in a wrong single-byte encoding ("mojibake"). One bit each.
enum CharClass : uint32_t {
  kCommon = 1U << 0,
  kC1 = 1U << 1,  // control characters U+0080..U+009F
  kBad = 1U << 2,
  kLaw = 1U << 3,
  kCurrency = 1U << 4,
  kStartPunctuation = 1U << 5,
  kEndPunctuation = 1U << 6,
  kNumeric = 1U << 7,
  kKaomoji = 1U << 8,
  kUpperAccented = 1U << 9,
  kLowerAccented = 1U << 10,
  kUpperCommon = 1U << 11,
  kLowerCommon = 1U << 12,
  kBox = 1U << 13,
  kFirstOf2 = 1U << 14,  // may stand for the lead byte of a two-byte UTF-8 sequence, and so on
  kFirstOf3 = 1U << 15,
  kFirstOf4 = 1U << 16,
  kContinuation = 1U << 17,  // may stand for a continuation byte
  kContinuationStrict = 1U << 18,
};

struct ClassEntry {
  char16_t code_point;
  uint32_t mask;
};
struct CodePageEntry {
  char16_t code_point;
  uint8_t byte;
};
struct CodePage {
  const char* name;
  bool sloppy;  // undefined bytes stand for the code point of their number, and byte 0x1A for U+FFFD
  std::array<CodePageEntry, 128> high;  // bytes 0x80..0xFF, sorted by code point
};
struct Replacement {
  char16_t from;
  std::u32string_view to;
};

inline constexpr std::size_t kClassEntries = 452;
inline constexpr std::size_t kCodePages = 10;
inline constexpr std::size_t kLigaturesCount = 22;
inline constexpr std::size_t kWidthsCount = 226;

extern const std::array<ClassEntry, kClassEntries> kClasses;       // sorted
extern const std::array<CodePage, kCodePages> kCodePageTable;      // in the order in which they are tried
extern const std::array<char16_t, 32> kWindows1252C1;              // what bytes 0x80..0x9F mean in windows-1252
extern const std::array<Replacement, kLigaturesCount> kLigatures;  // sorted
extern const std::array<Replacement, kWidthsCount> kWidths;        // full and half width forms, sorted

}  // namespace wan::io::ftfy
