#include "io/tokenizer_normalizer.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "io/text_unicode.h"

namespace wan::io {
namespace {

// Boundaries of grapheme clusters (Unicode Standard Annex 29), fed one character at a time.
class GraphemeBreaker {
 public:
  // Whether a cluster starts at `c`, which follows the characters given so far.
  bool starts_cluster(char32_t c) {
    const auto code = static_cast<UChar32>(c);
    const int now = c < 0x300 && c != '\r' && c != '\n' && c >= 0x20 && !(c >= 0x7F && c < 0xAE)
                        ? U_GCB_OTHER
                        : u_getIntPropertyValue(code, UCHAR_GRAPHEME_CLUSTER_BREAK);
    const bool pictographic = u_hasBinaryProperty(code, UCHAR_EXTENDED_PICTOGRAPHIC) != 0;
    const bool joined = !first_ && joins(now, pictographic);
    first_ = false;
    regional_ = now == U_GCB_REGIONAL_INDICATOR ? regional_ + 1 : 0;
    emoji_zwj_ = emoji_ && now == U_GCB_ZWJ;
    emoji_ = pictographic || (emoji_ && (now == U_GCB_EXTEND));
    previous_ = now;
    return !joined;
  }

 private:
  bool joins(int now, bool pictographic) const {
    const int p = previous_;
    const auto is_control = [](int g) { return g == U_GCB_CONTROL || g == U_GCB_CR || g == U_GCB_LF; };
    if (p == U_GCB_CR && now == U_GCB_LF) return true;
    if (is_control(p) || is_control(now)) return false;
    if (p == U_GCB_L && (now == U_GCB_L || now == U_GCB_V || now == U_GCB_LV || now == U_GCB_LVT)) return true;
    if ((p == U_GCB_LV || p == U_GCB_V) && (now == U_GCB_V || now == U_GCB_T)) return true;
    if ((p == U_GCB_LVT || p == U_GCB_T) && now == U_GCB_T) return true;
    if (now == U_GCB_EXTEND || now == U_GCB_ZWJ || now == U_GCB_SPACING_MARK || p == U_GCB_PREPEND) return true;
    if (emoji_zwj_ && pictographic) return true;
    return now == U_GCB_REGIONAL_INDICATOR && regional_ % 2 == 1;
  }

  bool first_ = true;
  int previous_ = U_GCB_OTHER;
  int64_t regional_ = 0;    // regional indicators in a row
  bool emoji_ = false;      // a pictograph and extenders
  bool emoji_zwj_ = false;  // ... and a joiner
};

// A unit of a Darts double array.
bool has_leaf(uint32_t unit) { return ((unit >> 8) & 1) != 0; }
uint32_t value(uint32_t unit) { return unit & 0x7FFFFFFFU; }
uint32_t label(uint32_t unit) { return unit & 0x800000FFU; }
uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }

}  // namespace

CharsmapNormalizer::CharsmapNormalizer(std::string_view charsmap, const std::string& where) {
  if (charsmap.empty()) return;
  uint32_t size = 0;
  const bool has_size = charsmap.size() >= sizeof size;
  if (has_size) std::memcpy(&size, charsmap.data(), sizeof size);
  require(has_size && size % sizeof(uint32_t) == 0 && size <= charsmap.size() - sizeof size, ErrorCode::bad_file,
          "[{}] its normalisation table is damaged ({} bytes, of which {} are said to be a trie); download "
          "spiece.model again",
          where, charsmap.size(), size);
  trie_.resize(size / sizeof(uint32_t));
  if (size > 0) std::memcpy(trie_.data(), charsmap.data() + sizeof size, size);
  replacements_ = charsmap.substr(sizeof size + size);
}

// The replacement for the shortest rule that `chunk` starts with.
std::optional<std::string_view> CharsmapNormalizer::replacement(std::string_view chunk) const {
  if (trie_.empty()) return std::nullopt;
  std::size_t node = offset(trie_[0]);
  for (const char ch : chunk) {
    const auto byte = static_cast<unsigned char>(ch);
    node ^= byte;
    // A sound trie never leads outside; a damaged one has no rule here.
    if (byte == 0 || node >= trie_.size() || label(trie_[node]) != byte) return std::nullopt;
    const uint32_t unit = trie_[node];
    node ^= offset(unit);
    if (node >= trie_.size()) return std::nullopt;
    if (has_leaf(unit)) {
      const std::size_t begin = value(trie_[node]);
      if (begin > replacements_.size()) return std::nullopt;
      const std::string_view rest = std::string_view(replacements_).substr(begin);
      return rest.substr(0, rest.find('\0'));
    }
  }
  return std::nullopt;
}

std::string CharsmapNormalizer::normalize(std::string_view text) const {
  constexpr std::size_t kLongCluster = 6;  // bytes
  std::string out;
  out.reserve(text.size());
  const auto put_cluster = [&](std::string_view cluster) {
    if (cluster.size() < kLongCluster) {
      if (const std::optional<std::string_view> r = replacement(cluster)) {
        out += *r;
        return;
      }
    }
    for (std::size_t i = 0; i < cluster.size();) {
      char32_t c = 0;
      const std::size_t length = std::max<std::size_t>(decode_utf8_char(cluster.substr(i), c), 1);
      const std::string_view character = cluster.substr(i, length);
      out += replacement(character).value_or(character);
      i += length;
    }
  };
  GraphemeBreaker breaker;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    char32_t c = 0;
    const std::size_t length = std::max<std::size_t>(decode_utf8_char(text.substr(i), c), 1);
    if (breaker.starts_cluster(c)) {
      put_cluster(text.substr(begin, i - begin));
      begin = i;
    }
    i += length;
  }
  put_cluster(text.substr(begin));
  return out;
}

}  // namespace wan::io
