#include "io/html_unescape.h"

#include <algorithm>

#include "io/html_entities.h"

namespace wan::io {
namespace {

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char32_t c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

char32_t digit_value(char32_t c) { return is_digit(c) ? c - U'0' : (c >= 'a' ? c - U'a' : c - U'A') + 10; }

template <std::size_t N>
const HtmlEntity* find_entity(const std::array<HtmlEntity, N>& table, std::string_view name) {
  const auto it = std::lower_bound(table.begin(), table.end(), name,
                                   [](const HtmlEntity& e, std::string_view n) { return e.name < n; });
  return it != table.end() && it->name == name ? &*it : nullptr;
}

void append_number(std::u32string& out, char32_t number) {
  const auto it = std::lower_bound(kReplacedCharrefs.begin(), kReplacedCharrefs.end(), number,
                                   [](const CharrefEntry& e, char32_t n) { return e.number < n; });
  if (it != kReplacedCharrefs.end() && it->number == number) {
    out += it->code_point;
  } else if ((number >= 0xD800 && number < 0xE000) || number > 0x10FFFF) {
    out += U'\uFFFD';
  } else {
    const bool control = (number >= 0x01 && number <= 0x08) || number == 0x0B || (number >= 0x0E && number <= 0x1F) ||
                         (number >= 0x7F && number <= 0x9F);
    const bool noncharacter = (number >= 0xFDD0 && number <= 0xFDEF) || (number & 0xFFFE) == 0xFFFE;
    if (!control && !noncharacter) out += number;
  }
}

// A numeric reference at text[0] == '&', text[1] == '#'. Returns its length, or 0 when there is none.
std::size_t read_number(std::u32string_view text, char32_t& number) {
  std::size_t i = 2;
  const bool hex = i < text.size() && (text[i] == 'x' || text[i] == 'X');
  if (hex) ++i;
  const std::size_t first = i;
  number = 0;
  for (; i < text.size() && (hex ? is_hex(text[i]) : is_digit(text[i])); ++i) {
    // Saturates just above the last code point: how far above does not matter.
    number = std::min<char32_t>(number * (hex ? 16 : 10) + digit_value(text[i]), 0x110000);
  }
  if (i == first) return 0;
  return i < text.size() && text[i] == ';' ? i + 1 : i;
}

// A name after '&': up to 32 characters, then ';' if there is one.
std::size_t name_length(std::u32string_view text) {
  constexpr std::u32string_view kEnds = U"\t\n\f <&#;";
  std::size_t n = 0;
  while (n < 32 && n < text.size() && kEnds.find(text[n]) == std::u32string_view::npos) ++n;
  return n > 0 && n < text.size() && text[n] == ';' ? n + 1 : n;
}

void append_named(std::u32string& out, std::u32string_view name) {
  std::string ascii;
  for (const char32_t c : name) {
    if (c >= 0x80) break;
    ascii += static_cast<char>(c);
  }
  // The whole name first, then the longest prefix of at least two characters.
  for (std::size_t n = ascii.size(); n >= 2; --n) {
    if (const HtmlEntity* entity = find_entity(kHtml5Entities, std::string_view(ascii).substr(0, n))) {
      out += entity->text;
      out += name.substr(n);
      return;
    }
  }
  out += U'&';
  out += name;
}

}  // namespace

std::u32string html_unescape(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '&') {
      out += text[i++];
      continue;
    }
    const std::u32string_view rest = text.substr(i);
    if (rest.size() > 1 && rest[1] == '#') {
      char32_t number = 0;
      const std::size_t length = read_number(rest, number);
      if (length > 0) append_number(out, number);
      if (length == 0) out += U'&';
      i += std::max<std::size_t>(length, 1);
    } else {
      const std::size_t length = name_length(rest.substr(1));
      if (length > 0) append_named(out, rest.substr(1, length));
      if (length == 0) out += U'&';
      i += length + 1;
    }
  }
  return out;
}

std::u32string unescape_unambiguous_html(std::u32string_view text) {
  constexpr std::size_t kLongestName = 24;
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    out += text[i++];
    if (text[i - 1] != '&') continue;
    const bool numeric = i < text.size() && text[i] == '#';
    const std::size_t first = numeric ? i + 1 : i;
    std::size_t end = first;
    while (end < text.size() && end - first < kLongestName && (is_digit(text[end]) || is_letter(text[end]))) ++end;
    if (end == first || end == text.size() || text[end] != ';') continue;
    const std::u32string_view reference = text.substr(i - 1, end + 2 - i);
    if (numeric) {
      // Taken only when the whole reference is used up and no ';' comes out of it.
      char32_t number = 0;
      if (read_number(reference, number) != reference.size() || number == ';') continue;
      out.pop_back();
      append_number(out, number);
    } else {
      std::string name;
      for (const char32_t c : reference.substr(1)) name += static_cast<char>(c);
      const HtmlEntity* entity = find_entity(kHtml5Entities, name);
      if (entity == nullptr) entity = find_entity(kUpperCaseEntities, name);
      if (entity == nullptr) continue;
      out.pop_back();
      out += entity->text;
    }
    i = end + 1;
  }
  return out;
}

}  // namespace wan::io
