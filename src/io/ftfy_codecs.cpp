#include "io/ftfy_codecs.h"

#include <algorithm>
#include <initializer_list>

#include "io/text_unicode.h"

namespace wan::io::ftfy {
namespace {

constexpr unsigned char kLost = 0x1A;  // a sloppy code page's byte for U+FFFD

// What a byte of a sequence may be.
struct ByteClass {
  unsigned char low, high;  // an inclusive range ...
  bool lost = false;        // ... or 1A
  bool question = false;    // ... or '?'
  bool except_85 = false;   // ... less 85 and A0
  bool operator()(unsigned char b) const {
    if (lost && b == kLost) return true;
    if (question && b == '?') return true;
    return b >= low && b <= high && !(except_85 && (b == 0x85 || b == 0xA0));
  }
};
using Sequence = std::initializer_list<ByteClass>;

bool matches(std::string_view bytes, Sequence sequence) {
  if (bytes.size() < sequence.size()) return false;
  return std::equal(sequence.begin(), sequence.end(), bytes.begin(),
                    [](const ByteClass& c, char b) { return c(static_cast<unsigned char>(b)); });
}

constexpr ByteClass kSpace{' ', ' '};
constexpr ByteClass kContinue{0x80, 0xBF};
constexpr ByteClass kLikely{0x80, 0xBF, false, false, true};

bool altered_two_byte_lead(unsigned char b) {
  return b == 0xC2 || b == 0xC3 || b == 0xC5 || b == 0xCE || b == 0xD0 || b == 0xD9;
}

// Length of a UTF-8 sequence with one space for A0, or 0. Only leads that form likely characters with A0.
std::size_t altered_length(std::string_view bytes) {
  const auto lead = static_cast<unsigned char>(bytes[0]);
  if (altered_two_byte_lead(lead)) return bytes.size() > 1 && bytes[1] == ' ' ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xE3) {
    const std::string_view tail = bytes.substr(1);
    const bool first = lead >= 0xE2 && matches(tail, {kSpace, kLikely});
    return first || matches(tail, {kLikely, kSpace}) ? 3 : 0;
  }
  if (lead == 0xF0) {
    const std::string_view tail = bytes.substr(1);
    return matches(tail, {kSpace, kContinue, kContinue}) || matches(tail, {kContinue, kSpace, kContinue}) ||
                   matches(tail, {kContinue, kContinue, kSpace})
               ? 4
               : 0;
  }
  return 0;
}

// Length of a UTF-8 sequence with bytes lost, or 0.
std::size_t lossy_length(std::string_view bytes) {
  constexpr ByteClass kGone{kLost, kLost, false, true};  // 1A or ?
  constexpr ByteClass kThere{0x80, 0xBF, true};          // continuation or 1A
  constexpr ByteClass kAny{0x80, 0xBF, true, true};      // continuation, 1A or ?
  constexpr ByteClass kHigh{0xA0, 0xAF}, kLow{0xB0, 0xBF}, kEd{0xED, 0xED};
  const auto lead = static_cast<unsigned char>(bytes[0]);
  if (lead == kLost) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const std::string_view tail = bytes.substr(1);
  if (lead <= 0xDF) {
    return !tail.empty() && (tail[0] == static_cast<char>(kLost) || (lead <= 0xC3 && tail[0] == '?')) ? 2 : 0;
  }
  if (lead <= 0xEF) {
    if (lead == 0xED &&
        (matches(tail, {kHigh, kGone, kEd, kLow, kAny}) || matches(tail, {kHigh, kAny, kEd, kLow, kGone}))) {
      return 6;
    }
    return matches(tail, {kGone, kThere}) || matches(tail, {kThere, kGone}) ? 3 : 0;
  }
  return matches(tail, {kGone, kThere, kThere}) || matches(tail, {kThere, kGone, kThere}) ||
                 matches(tail, {kThere, kThere, kGone})
             ? 4
             : 0;
}

// "C3 20", except before the rest of a Portuguese word that begins with "à" ("às ", "àquele", ...) or another space.
bool is_a_grave_word(std::string_view bytes) {
  if (!bytes.starts_with("\xC3 ")) return false;
  const std::string_view next = bytes.substr(2);
  return !(next.starts_with(" ") || next.starts_with("quele") || next.starts_with("quela") ||
           next.starts_with("quilo") || next.starts_with("s "));
}

// Six bytes that are a surrogate pair, each half as a three-byte sequence.
bool is_cesu8_pair(std::string_view bytes) {
  constexpr ByteClass kHigh{0xA0, 0xAF}, kLow{0xB0, 0xBF}, kEd{0xED, 0xED};
  if (bytes.size() < 6 || !matches(bytes, {kEd, kHigh, kContinue, kEd, kLow})) return false;
  // ftfy's expression lets a final line feed stand for the last byte ('$' matches before it).
  return kContinue(static_cast<unsigned char>(bytes[5])) || (bytes[5] == '\n' && bytes.size() == 6);
}

bool is_java_null(std::string_view bytes) {
  if (bytes.size() < 2 || bytes[0] != '\xC0') return false;
  return bytes[1] == '\x80' || (bytes[1] == '\n' && bytes.size() == 2);  // the same '$'
}

}  // namespace

std::optional<std::string> encode(const CodePage& page, std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) {
    if (c < 0x80) {
      if (page.sloppy && c == kLost) return std::nullopt;
      out += static_cast<char>(c);
      continue;
    }
    if (page.sloppy && c == 0xFFFD) {
      out += static_cast<char>(kLost);
      continue;
    }
    const auto it = std::lower_bound(page.high.begin(), page.high.end(), c,
                                     [](const CodePageEntry& e, char32_t x) { return e.code_point < x; });
    if (it == page.high.end() || it->code_point != c) return std::nullopt;
    out += static_cast<char>(it->byte);
  }
  return out;
}

std::optional<std::u32string> decode_strict_utf8(std::string_view bytes) {
  std::u32string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    char32_t c = 0;
    const std::size_t length = decode_utf8_char(bytes, c);
    if (length == 0) return std::nullopt;
    out += c;
    bytes.remove_prefix(length);
  }
  return out;
}

std::optional<std::u32string> decode_utf8_variants(std::string_view bytes) {
  std::u32string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    char32_t c = 0;
    std::size_t length = 0;
    if (is_java_null(bytes)) {
      length = 2;
    } else if (is_cesu8_pair(bytes)) {
      c = 0x10000 + ((at(1) & 0x0FU) << 16) + ((at(2) & 0x3FU) << 10) + ((at(4) & 0x0FU) << 6) + (at(5) & 0x3FU);
      length = 6;
    } else {
      length = decode_utf8_char(bytes, c);
    }
    if (length == 0) return std::nullopt;
    out += c;
    bytes.remove_prefix(length);
  }
  return out;
}

bool has_altered_utf8(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (altered_length(bytes.substr(i)) > 0) return true;
  }
  return false;
}

std::string restore_byte_a0(std::string_view bytes) {
  std::string words;
  words.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size();) {
    const bool word = is_a_grave_word(bytes.substr(i));
    words += word ? std::string_view("\xC3\xA0 ") : bytes.substr(i, 1);
    i += word ? 2 : 1;
  }
  for (std::size_t i = 0; i < words.size();) {
    const std::size_t length = altered_length(std::string_view(words).substr(i));
    std::replace(words.begin() + static_cast<std::ptrdiff_t>(i),
                 words.begin() + static_cast<std::ptrdiff_t>(i + length), ' ', '\xA0');
    i += std::max<std::size_t>(length, 1);
  }
  return words;
}

std::string replace_lossy_sequences(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t length = lossy_length(bytes.substr(i));
    out += length > 0 ? std::string_view("\xEF\xBF\xBD") : bytes.substr(i, 1);
    i += std::max<std::size_t>(length, 1);
  }
  return out;
}

}  // namespace wan::io::ftfy
