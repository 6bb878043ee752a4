#include "io/ftfy_fixes.h"

#include <algorithm>

#include "io/ftfy_tables.h"
#include "io/text_unicode.h"

namespace wan::io::ftfy {
namespace {

template <std::size_t N>
std::u32string replace_by(const std::array<Replacement, N>& table, std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (const char32_t c : text) {
    const auto it =
        std::lower_bound(table.begin(), table.end(), c, [](const Replacement& r, char32_t x) { return r.from < x; });
    const bool found = it != table.end() && it->from == c;
    found ? void(out += it->to) : void(out += c);
  }
  return out;
}

bool is_useless_control(char32_t c) {
  return c <= 0x08 || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || (c >= 0x206A && c <= 0x206F) ||
         c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

// Length of a terminal escape at the start of the text, or 0.
std::size_t escape_length(std::u32string_view text) {
  if (!text.starts_with(U"\033[")) return 0;
  std::size_t i = 2;
  while (i < text.size() && (text[i] == ';' || is_decimal_digit(text[i]))) ++i;
  const bool letter = i < text.size() && ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z'));
  return letter ? i + 1 : 0;
}

}  // namespace

std::u32string fix_latin_ligatures(std::u32string_view text) { return replace_by(kLigatures, text); }

std::u32string fix_character_width(std::u32string_view text) { return replace_by(kWidths, text); }

std::u32string uncurl_quotes(std::u32string text) {
  for (char32_t& c : text) {
    if (c == 0x02BC || (c >= 0x2018 && c <= 0x201B)) c = U'\'';
    if (c >= 0x201C && c <= 0x201F) c = U'"';
  }
  return text;
}

std::u32string fix_line_breaks(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    out += c == '\r' || c == 0x2028 || c == 0x2029 || c == 0x85 ? U'\n' : c;
  }
  return out;
}

std::u32string remove_terminal_escapes(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = escape_length(text.substr(i));
    if (length == 0) out += text[i];
    i += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::u32string remove_control_chars(std::u32string text) {
  std::erase_if(text, is_useless_control);
  return text;
}

}  // namespace wan::io::ftfy
