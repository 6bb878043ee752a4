#include "io/ftfy_badness.h"

#include <algorithm>

#include "io/ftfy_tables.h"
#include "io/text_unicode.h"

namespace wan::io::ftfy {
namespace {

constexpr uint32_t kLetters = kLowerAccented | kUpperAccented;
constexpr uint32_t kPunctuation = kStartPunctuation | kEndPunctuation;

bool is_upper_ascii(char32_t c) { return c >= 'A' && c <= 'Z'; }
bool is_lower_ascii(char32_t c) { return c >= 'a' && c <= 'z'; }
bool is_ascii_letter(char32_t c) { return is_upper_ascii(c) || is_lower_ascii(c); }
bool one_of(char32_t c, std::u32string_view set) { return set.find(c) != std::u32string_view::npos; }

// The text from one position on, with the classes of its first characters; reading past the end gives character 0,
// class 0, which no rule accepts.
class Window {
 public:
  explicit Window(std::u32string_view text) : text_(text) {
    for (std::size_t i = 0; i < kClassified; ++i) class_[i] = char_class(at(i));
  }
  char32_t at(std::size_t i) const { return i < text_.size() ? text_[i] : U'\0'; }
  bool has(std::size_t i) const { return i < text_.size(); }
  bool in(std::size_t i, uint32_t mask) const { return (class_[i] & mask) != 0; }
  bool pair(uint32_t first, uint32_t second) const { return in(0, first) && in(1, second); }
  bool starts(std::u32string_view s) const { return text_.starts_with(s); }

 private:
  static constexpr std::size_t kClassified = 4;
  std::u32string_view text_;
  uint32_t class_[kClassified];
};

bool unlikely_pair(const Window& w) {
  constexpr uint32_t kSymbols = kPunctuation | kCurrency | kNumeric | kLaw;
  return w.in(0, kC1) || w.pair(kBad | kLetters | kBox | kSymbols, kBad) || w.pair(kBad, kLetters | kBox | kSymbols) ||
         w.pair(kLowerAccented | kLowerCommon | kBox | kEndPunctuation | kCurrency | kNumeric, kUpperAccented) ||
         w.pair(kBox | kEndPunctuation | kCurrency | kNumeric, kLowerAccented) ||
         w.pair(kLowerAccented | kBox | kEndPunctuation, kCurrency) || w.pair(kUpperAccented | kBox, kNumeric | kLaw) ||
         w.pair(kCurrency | kNumeric | kBox, kStartPunctuation) || w.pair(kBox, kKaomoji) ||
         w.pair(kLetters | kCurrency | kNumeric | kPunctuation | kLaw, kBox) || w.pair(kBox, kEndPunctuation);
}

bool unlikely_triple(const Window& w) {
  return (is_ascii_letter(w.at(0)) && w.in(1, kLowerCommon | kUpperCommon) && w.in(2, kBad)) ||
         (is_space(w.at(0)) && w.in(1, kUpperAccented) && w.in(2, kCurrency)) ||
         (w.in(0, kLetters | kBox | kCurrency | kEndPunctuation) && w.in(1, kStartPunctuation) && w.in(2, kNumeric)) ||
         (w.in(0, kLetters | kCurrency | kNumeric | kBox | kLaw) && w.in(1, kEndPunctuation) &&
          w.in(2, kStartPunctuation)) ||
         (is_lower_ascii(w.at(0)) && w.in(1, kUpperAccented) && w.in(2, kStartPunctuation | kCurrency)) ||
         (w.in(0, kLetters) && w.in(1, kPunctuation) && w.has(2) && is_word(w.at(2)));
}

// Windows-1252 readings of two-byte sequences, of Arabic and of South Asian scripts.
bool windows_1252(const Window& w) {
  const char32_t a = w.at(0);
  const char32_t b = w.at(1);
  const auto arabic = [&](std::size_t i) {
    return one_of(w.at(i), U"ØÙ") &&
           (w.in(i + 1, kCommon | kCurrency | kBad | kNumeric | kStartPunctuation) || one_of(w.at(i + 1), U"ŸŠ®°µ»"));
  };
  return (one_of(a, U"Œœ") && w.has(1) && !is_ascii_letter(b)) || (w.in(0, kUpperAccented) && b == U'°') ||
         (one_of(a, U"ÂÃÎÐ") && (w.in(1, kPunctuation) || one_of(b, U"€œŠš¢£Ÿž\u00A0\u00AD®©°·»–—´"))) ||
         (a == U'×' && one_of(b, U"²³")) || (arabic(0) && arabic(2)) || (a == U'à' && one_of(b, U"²µ¹¼½¾")) ||
         (a == U'Ã' && one_of(b, U"\u00A0¡"));
}

bool other_encodings(const Window& w) {
  const char32_t a = w.at(0);
  const char32_t b = w.at(1);
  const char32_t c = w.at(2);
  constexpr uint32_t kCyrillicOrGreekMiddle = kC1 | kBad | kPunctuation | kCurrency;
  const auto sandwiched = [&](std::u32string_view outer, std::u32string_view also) {
    return one_of(a, outer) && (w.in(1, kCyrillicOrGreekMiddle) || one_of(b, also)) && one_of(c, outer);
  };
  return (a == U'√' && one_of(b, U"±∂†≠®™´≤≥¥µø")) ||  // MacRoman
         (a == U'≈' && one_of(b, U"°¢")) || (a == U'‚' && b == U'Ä' && one_of(c, U"ìîïòôúùû†°¢π")) ||
         (a == U'‚' && one_of(b, U"âó") && one_of(c, U"àä°ê")) || w.starts(U"вЂ") ||
         sandwiched(U"ВГРС", U"°µ") ||  // windows-1251
         (w.starts(U"ГўВЂВ") && w.has(5) && w.at(5) != U'\n' && w.has(6) &&
          (is_ascii_letter(w.at(6)) || w.at(6) == U' ')) ||
         (w.starts(U"β€") && one_of(c, U"™\u00A0Ά\u00AD®°")) || sandwiched(U"ΒΓΞΟ", U"°") ||  // windows-1253
         w.starts(U"ā€");                                                                     // windows-1257
}

// 'Â' and 'Ã' before a space that was U+00A0, or before a character that they encode.
bool lost_space(const Window& w, bool at_start) {
  const auto lead_and_space = [&](std::size_t i) { return one_of(w.at(i), U"ÃÂ") && w.at(i + 1) == U' '; };
  if (at_start && lead_and_space(0)) return true;
  const char32_t a = w.at(0);
  if (is_lower_ascii(a) && (lead_and_space(1) || (is_space(w.at(1)) && lead_and_space(2)))) return true;
  return (is_lower_ascii(a) || one_of(a, U".,?!") || w.in(0, kEndPunctuation)) && w.at(1) == U'Â' &&
         (w.at(2) == U' ' || w.in(2, kPunctuation));
}

}  // namespace

uint32_t char_class(char32_t c) noexcept {
  if (c < 0x80 || c > 0xFFFF) return 0;
  const auto it = std::lower_bound(kClasses.begin(), kClasses.end(), c,
                                   [](const ClassEntry& e, char32_t x) { return e.code_point < x; });
  return it != kClasses.end() && it->code_point == c ? it->mask : 0;
}

bool is_bad(std::u32string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    // Every rule needs a non-ASCII character among its first three.
    const std::u32string_view head = text.substr(i, 3);
    if (std::all_of(head.begin(), head.end(), [](char32_t c) { return c < 0x80; })) continue;
    const Window w(text.substr(i));
    if (unlikely_pair(w) || unlikely_triple(w) || windows_1252(w) || other_encodings(w) || lost_space(w, i == 0)) {
      return true;
    }
  }
  return false;
}

}  // namespace wan::io::ftfy
