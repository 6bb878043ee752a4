#include "io/text_unicode.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>

#include <algorithm>

#include "core/error.h"

namespace wan::io {
namespace {

bool is_continuation(unsigned char b) { return (b & 0xC0) == 0x80; }

UChar32 icu(char32_t c) { return static_cast<UChar32>(c); }

// Tibetan vowel signs that are starters themselves but decompose into two combining marks.
std::u32string_view split_compound_vowel(char32_t c) {
  switch (c) {
    case 0x0F73: return U"\u0F71\u0F72";
    case 0x0F75: return U"\u0F71\u0F74";
    case 0x0F81: return U"\u0F71\u0F80";
    default: return {};
  }
}

bool joins_run(char32_t c) {
  return c >= 0x300 && (u_getCombiningClass(icu(c)) != 0 || !split_compound_vowel(c).empty());
}

// ICU sorts combining marks by insertion, which is quadratic in a run of them. Long runs are therefore put into
// canonical order first; the result is canonically equivalent, so its normal form is the same.
std::u32string order_long_runs(const std::u32string& text) {
  constexpr std::size_t kLongRun = 32;
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && joins_run(text[end])) ++end;
    if (end - i < kLongRun) {
      end = std::max(end, i + 1);
      out.append(text, i, end - i);
    } else {
      const std::size_t first = out.size();
      for (std::size_t k = i; k < end; ++k) {
        const std::u32string_view split = split_compound_vowel(text[k]);
        split.empty() ? void(out += text[k]) : void(out += split);
      }
      std::stable_sort(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(), [](char32_t a, char32_t b) {
        return u_getCombiningClass(icu(a)) < u_getCombiningClass(icu(b));
      });
    }
    i = end;
  }
  return out;
}

std::u16string to_utf16(std::u32string_view text) {
  std::u16string out;
  out.reserve(text.size());
  for (const char32_t c : text) {
    if (c < 0x10000) {
      out += static_cast<char16_t>(c);
    } else {
      out += static_cast<char16_t>(0xD7C0 + (c >> 10));
      out += static_cast<char16_t>(0xDC00 + (c & 0x3FF));
    }
  }
  return out;
}

std::u32string from_utf16(std::u16string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char32_t c = text[i];
    if (c >= 0xD800 && c < 0xDC00 && i + 1 < text.size()) {
      c = 0x10000 + ((c - 0xD800) << 10) + (text[++i] - 0xDC00U);
    }
    out += c;
  }
  return out;
}

}  // namespace

std::size_t decode_utf8_char(std::string_view bytes, char32_t& out) noexcept {
  if (bytes.empty()) return 0;
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) {
    out = lead;
    return 1;
  }
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || bytes.size() < length) return 0;
  char32_t c = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(at(i))) return 0;
    c = (c << 6) | (at(i) & 0x3FU);
  }
  const bool overlong = (length == 3 && c < 0x800) || (length == 4 && c < 0x10000);
  if (overlong || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return 0;
  out = c;
  return length;
}

std::u32string decode_utf8(std::string_view bytes, std::string_view where) {
  std::u32string out;
  out.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size();) {
    char32_t c = 0;
    const std::size_t length = decode_utf8_char(bytes.substr(i), c);
    require(length > 0, ErrorCode::invalid_argument,
            "[{}] byte {} (0x{:02X}) is not valid UTF-8; save or send the text as UTF-8", where, i,
            static_cast<unsigned char>(bytes[i]));
    out += c;
    i += length;
  }
  return out;
}

std::string encode_utf8(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  const auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  for (const char32_t c : text) {
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xC0 | (c >> 6));
      put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
      put(0xE0 | (c >> 12));
      put(0x80 | ((c >> 6) & 0x3F));
      put(0x80 | (c & 0x3F));
    } else {
      put(0xF0 | (c >> 18));
      put(0x80 | ((c >> 12) & 0x3F));
      put(0x80 | ((c >> 6) & 0x3F));
      put(0x80 | (c & 0x3F));
    }
  }
  return out;
}

bool is_white_space(char32_t c) noexcept {
  return (c >= 0x09 && c <= 0x0D) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_space(char32_t c) noexcept { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

bool is_word(char32_t c) noexcept {
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  return u_isalpha(icu(c)) != 0 || u_getIntPropertyValue(icu(c), UCHAR_NUMERIC_TYPE) != U_NT_NONE;
}

bool is_decimal_digit(char32_t c) noexcept {
  if (c < 0x80) return c >= '0' && c <= '9';
  return u_charType(icu(c)) == U_DECIMAL_DIGIT_NUMBER;
}

std::u32string normalize_nfc(const std::u32string& text) {
  // Below U+0300 nothing composes, decomposes or is reordered in form C.
  if (std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x300; })) return text;
  UErrorCode status = U_ZERO_ERROR;
  const UNormalizer2* nfc = unorm2_getNFCInstance(&status);
  const std::u16string from = to_utf16(order_long_runs(text));
  std::u16string to(from.size() + 16, u'\0');
  for (int attempt = 0; attempt < 2 && U_SUCCESS(status); ++attempt) {
    const int32_t length = unorm2_normalize(nfc, from.data(), static_cast<int32_t>(from.size()), to.data(),
                                            static_cast<int32_t>(to.size()), &status);
    if (status != U_BUFFER_OVERFLOW_ERROR) {
      to.resize(static_cast<std::size_t>(std::max(length, 0)));
      break;
    }
    status = U_ZERO_ERROR;
    to.assign(static_cast<std::size_t>(length), u'\0');
  }
  require(U_SUCCESS(status), ErrorCode::unsupported,
          "[text] ICU cannot normalise text: {}; check the installation of ICU", u_errorName(status));
  return from_utf16(to);
}

}  // namespace wan::io
