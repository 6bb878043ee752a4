#include "io/ftfy_fix_text.h"

#include <algorithm>

#include "core/error.h"
#include "io/ftfy_encoding.h"
#include "io/ftfy_fixes.h"
#include "io/html_unescape.h"
#include "io/text_unicode.h"

namespace wan::io::ftfy {
namespace {

constexpr std::size_t kMaxSegment = 1'000'000;  // code points, as in ftfy
constexpr int kMaxPasses = 256;                 // "&amp;amp;amp;..." takes one pass per level

std::u32string fix_segment(std::u32string text, bool unescape) {
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    std::u32string fixed = unescape ? unescape_unambiguous_html(text) : text;
    fixed = fix_encoding(std::move(fixed));
    fixed = fix_c1_controls(std::move(fixed));
    fixed = fix_latin_ligatures(fixed);
    fixed = fix_character_width(fixed);
    fixed = uncurl_quotes(std::move(fixed));
    fixed = fix_line_breaks(fixed);
    fixed = remove_terminal_escapes(fixed);
    fixed = remove_control_chars(std::move(fixed));
    fixed = normalize_nfc(fixed);
    if (fixed == text) return text;
    text = std::move(fixed);
  }
  fail(ErrorCode::invalid_argument,
       "[text] character references or escapes are nested more than {} deep; write the characters themselves",
       kMaxPasses);
}

}  // namespace

std::u32string fix_text(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  bool unescape = true;
  while (!text.empty()) {
    const std::size_t line_feed = text.find(U'\n');
    const std::size_t line = line_feed == std::u32string_view::npos ? text.size() : line_feed + 1;
    const std::u32string_view segment = text.substr(0, std::min(line, kMaxSegment));
    // A '<' tells of real HTML, whose references are meant; that holds for all that follows.
    if (segment.find(U'<') != std::u32string_view::npos) unescape = false;
    out += fix_segment(std::u32string(segment), unescape);
    text.remove_prefix(segment.size());
  }
  return out;
}

}  // namespace wan::io::ftfy
