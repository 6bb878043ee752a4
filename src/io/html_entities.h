#pragma once
#include <array>
#include <cstddef>
#include <string_view>

namespace wan::io {

struct HtmlEntity {
  std::string_view name;  // without '&'; with ';' unless the standard lets it be left out
  std::u32string_view text;
};
struct CharrefEntry {
  char32_t number;
  char32_t code_point;
};

inline constexpr std::size_t kHtml5EntitiesCount = 2231;
inline constexpr std::size_t kUpperCaseEntitiesCount = 1376;
inline constexpr std::size_t kReplacedCharrefsCount = 34;

extern const std::array<HtmlEntity, kHtml5EntitiesCount> kHtml5Entities;          // sorted by name
extern const std::array<HtmlEntity, kUpperCaseEntitiesCount> kUpperCaseEntities;  // ftfy's own, such as "EACUTE;"
extern const std::array<CharrefEntry, kReplacedCharrefsCount> kReplacedCharrefs;  // HTML's remapped numbers, sorted

}  // namespace wan::io
