#include "io/text_clean.h"

#include "core/error.h"
#include "io/ftfy_fix_text.h"
#include "io/html_unescape.h"
#include "io/text_unicode.h"

namespace wan::io {
namespace {

// Python's str.strip().
std::u32string_view strip(std::u32string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::u32string collapse_white_space(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  bool in_run = false;
  for (const char32_t c : text) {
    const bool white = is_white_space(c);
    if (!white) out += c;
    if (white && !in_run) out += U' ';
    in_run = white;
  }
  return out;
}

}  // namespace

std::string clean_prompt(std::string_view utf8) {
  require(utf8.size() <= kMaxPromptBytes, ErrorCode::invalid_argument,
          "[prompt] it has {} bytes, at most {} are accepted; shorten it (the model reads 512 tokens)", utf8.size(),
          kMaxPromptBytes);
  const std::size_t nul = utf8.find('\0');
  require(nul == std::string_view::npos, ErrorCode::invalid_argument,
          "[prompt] byte {} is NUL; a prompt is plain text, remove the character", nul);
  const std::u32string fixed = ftfy::fix_text(decode_utf8(utf8, "prompt"));
  const std::u32string unescaped = html_unescape(html_unescape(fixed));
  return encode_utf8(strip(collapse_white_space(strip(unescaped))));
}

}  // namespace wan::io
