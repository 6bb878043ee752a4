#include "io/ftfy_encoding.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "io/ftfy_badness.h"
#include "io/ftfy_codecs.h"
#include "io/ftfy_tables.h"

namespace wan::io::ftfy {
namespace {

// Every layer of mojibake doubles the length at least, so a prompt has room for far fewer.
constexpr int kMaxLayers = 64;

bool is_c1(char32_t c) { return c >= 0x80 && c < 0xA0; }

std::u32string fix_layers(std::u32string text, int depth);

// The text as it was before it was read through `page`, if that gives UTF-8.
std::optional<std::u32string> reread(std::string bytes, const CodePage& page) {
  // In MacRoman, a space for A0 would match an en dash followed by a space.
  if (std::string_view(page.name) != "macroman" && has_altered_utf8(bytes)) bytes = restore_byte_a0(bytes);
  if (page.sloppy) bytes = replace_lossy_sequences(bytes);
  const bool variants = bytes.find('\xED') != std::string::npos || bytes.find('\xC0') != std::string::npos;
  return variants ? decode_utf8_variants(bytes) : decode_strict_utf8(bytes);
}

// Length of the run of characters at `i` that read as UTF-8 lead and continuation bytes; 0 if there is none.
std::size_t mojibake_run(std::u32string_view text, std::size_t i) {
  if (i > 0 && (char_class(text[i - 1]) & kContinuationStrict) != 0) return 0;
  std::size_t end = i;
  while (end < text.size()) {
    const uint32_t lead = char_class(text[end]);
    const std::size_t follow = (lead & kFirstOf2) ? 1 : (lead & kFirstOf3) ? 2 : (lead & kFirstOf4) ? 3 : 0;
    if (follow == 0 || text.size() - end <= follow) break;
    const std::u32string_view rest = text.substr(end + 1, follow);
    if (!std::all_of(rest.begin(), rest.end(),
                     [](char32_t c) { return c == ' ' || (char_class(c) & kContinuation) != 0; })) {
      break;
    }
    end += follow + 1;
  }
  return end - i;
}

// Repairs pieces of the text that are mojibake on their own.
std::u32string decode_inconsistent_utf8(std::u32string_view text, int depth) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = mojibake_run(text, i);
    const std::u32string_view run = text.substr(i, std::max<std::size_t>(length, 1));
    // A run that is the whole text was tried already.
    const bool repair = length > 0 && length < text.size() && is_bad(run);
    repair ? void(out += fix_layers(std::u32string(run), depth + 1)) : void(out += run);
    i += run.size();
  }
  return out;
}

// Latin-1 text read as windows-1252, or nothing when it holds bytes that windows-1252 lacks.
std::optional<std::u32string> latin1_as_windows_1252(std::u32string text) {
  if (std::any_of(text.begin(), text.end(), [](char32_t c) { return is_c1(c) && kWindows1252C1[c - 0x80] == c; })) {
    return std::nullopt;
  }
  return fix_c1_controls(std::move(text));
}

// One step towards better text; the same text when nothing is left to do.
std::u32string fix_one_layer(const std::u32string& text, int depth) {
  if (!is_bad(text)) return text;
  bool latin1 = false;
  for (const CodePage& page : kCodePageTable) {
    std::optional<std::string> bytes = encode(page, text);
    if (!bytes) continue;
    latin1 = latin1 || &page == &kCodePageTable.front();
    if (std::optional<std::u32string> fixed = reread(std::move(*bytes), page)) return *fixed;
  }
  std::u32string repaired = decode_inconsistent_utf8(text, depth);
  if (repaired != text) return repaired;
  if (latin1) {
    if (std::optional<std::u32string> fixed = latin1_as_windows_1252(text); fixed && *fixed != text) return *fixed;
  }
  return fix_c1_controls(text);
}

std::u32string fix_layers(std::u32string text, int depth) {
  for (int layer = 0; layer < kMaxLayers && depth < kMaxLayers; ++layer) {
    std::u32string fixed = fix_one_layer(text, depth);
    if (fixed == text) return text;
    text = std::move(fixed);
  }
  fail(ErrorCode::invalid_argument,
       "[text] mis-decoded characters are nested more than {} deep; write the text in plain UTF-8", kMaxLayers);
}

}  // namespace

std::u32string fix_c1_controls(std::u32string text) {
  for (char32_t& c : text) {
    if (is_c1(c)) c = kWindows1252C1[c - 0x80];
  }
  return text;
}

std::u32string fix_encoding(std::u32string text) { return fix_layers(std::move(text), 0); }

}  // namespace wan::io::ftfy
