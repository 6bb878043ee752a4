#pragma once
#include <string>
#include <string_view>

namespace wan::io::ftfy {

/// ftfy 6's fix_text with its default settings, line by line: HTML references (until a line holds '<'), mojibake,
/// ligatures, character widths, curly quotes, line breaks, terminal escapes, control characters, then NFC; repeated
/// until the line no longer changes. Surrogates cannot occur: the text comes from valid UTF-8.
/// Each pass is linear; throws invalid_argument when a line needs more passes than any real text.
std::u32string fix_text(std::u32string_view text);

}  // namespace wan::io::ftfy
