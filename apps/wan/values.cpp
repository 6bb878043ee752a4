#include "values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

namespace wan::app {
namespace {

// The whole text as a T, or false. A leading '+' is fine, as in Python.
template <class T>
bool whole(const std::string& text, T& value) {
  const char* first = text.data();
  const char* last = first + text.size();
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') ++first;
  const auto [end, error] = std::from_chars(first, last, value);
  return error == std::errc() && end == last;
}

}  // namespace

int64_t parse_int64(const std::string& flag, const std::string& text) {
  int64_t value = 0;
  if (!whole(text, value))
    throw UsageError(
        fmt::format("{} '{}': expected an integer of at most {}", flag, text, std::numeric_limits<int64_t>::max()));
  return value;
}

int parse_int(const std::string& flag, const std::string& text) {
  int value = 0;
  if (!whole(text, value)) throw UsageError(fmt::format("{} '{}': expected an integer", flag, text));
  return value;
}

double parse_number(const std::string& flag, const std::string& text) {
  double value = 0;
  if (!whole(text, value) || !std::isfinite(value))
    throw UsageError(fmt::format("{} '{}': expected a finite number", flag, text));
  return value;
}

bool parse_bool(const std::string& flag, const std::string& text) {
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const char* yes : {"true", "t", "yes", "y", "1", "on"})
    if (lower == yes) return true;
  for (const char* no : {"false", "f", "no", "n", "0", "off"})
    if (lower == no) return false;
  throw UsageError(fmt::format("{} '{}': expected true or false", flag, text));
}

std::pair<int, int> parse_size(const std::string& flag, const std::string& text) {
  const size_t cut = text.find_first_of("*xX");
  int width = 0, height = 0;
  if (cut == std::string::npos || !whole(text.substr(0, cut), width) || !whole(text.substr(cut + 1), height))
    throw UsageError(fmt::format("{} '{}': expected width*height in pixels, such as 1280*720 or 832x480", flag, text));
  return {width, height};
}

std::pair<double, double> parse_guidance(const std::string& flag, const std::string& text) {
  const size_t cut = text.find(',');
  if (cut == std::string::npos) {
    const double both = parse_number(flag, text);
    return {both, both};
  }
  return {parse_number(flag, text.substr(0, cut)), parse_number(flag, text.substr(cut + 1))};
}

int64_t parse_bytes(const std::string& flag, const std::string& text) {
  const size_t cut = std::min(text.find_first_not_of("0123456789.+"), text.size());
  std::string unit;
  for (const char c : text.substr(cut))
    if (c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  constexpr std::pair<const char*, double> units[] = {{"", 1},         {"b", 1},       {"kb", 1e3},     {"mb", 1e6},
                                                      {"gb", 1e9},     {"tb", 1e12},   {"kib", 0x1p10}, {"mib", 0x1p20},
                                                      {"gib", 0x1p30}, {"tib", 0x1p40}};
  const auto* known = std::find_if(std::begin(units), std::end(units), [&](const auto& u) { return unit == u.first; });
  double value = 0;
  const bool number = whole(text.substr(0, cut), value) && std::isfinite(value);
  if (!number || known == std::end(units) || value * known->second < 1 || value * known->second > 0x1p60)
    throw UsageError(fmt::format("{} '{}': expected a size such as 12GB, 11.5GiB, 500MB or bytes", flag, text));
  return static_cast<int64_t>(value * known->second);
}

std::string printable(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else if (byte == 0xc2 && next >= 0x80 && next < 0xa0)  // C1 controls: U+0080..U+009F
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(text[++i]) & 0xffu);
    else
      out += text[i];
  }
  return out;
}

std::string shell_quote(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("_-./:,+=@%").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return text;
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  return out + "'";
}

std::string duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  const auto s = static_cast<int64_t>(std::llround(seconds));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
}

}  // namespace wan::app
