#include "io/printable.h"

#include <fmt/format.h>

#include <algorithm>

namespace wan::io {
namespace {

struct Unit {
  double size;
  const char* name;
};

Unit unit_for(int64_t bytes) {
  if (bytes >= 1'000'000'000) return {1e9, "GB"};
  if (bytes >= 1'000'000) return {1e6, "MB"};
  if (bytes >= 10'000) return {1e3, "kB"};
  return {1, "bytes"};
}

std::string amount(int64_t bytes, const Unit& unit) {
  if (unit.size == 1) return fmt::format("{}", bytes);
  return fmt::format("{:.1f}", static_cast<double>(bytes) / unit.size);
}

}  // namespace

std::string printable(std::string_view untrusted) {
  constexpr size_t limit = 120;
  std::string out = "'";
  for (const char c : untrusted) {
    if (out.size() > limit) return out + "...'";
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u >= 0x7f)
      out += fmt::format("\\x{:02x}", u);
    else
      out += c;
  }
  return out + "'";
}

std::string human_bytes(int64_t bytes) {
  const Unit unit = unit_for(bytes);
  return amount(bytes, unit) + " " + unit.name;
}

std::string human_bytes_of(int64_t have, int64_t want) {
  const Unit unit = unit_for(std::max(have, want));
  std::string left = amount(have, unit);
  std::string right = amount(want, unit);
  // A file that lacks its last few bytes must not read "9.9 of 9.9 GB".
  if (left == right && have != want) return fmt::format("{} of {} bytes", have, want);
  return fmt::format("{} of {} {}", left, right, unit.name);
}

}  // namespace wan::io
