#pragma once
#include <string>

namespace wan::io::ftfy {

/// Undoes mojibake as ftfy 6's fix_encoding does: while the text looks bad, reads it as UTF-8 through the first
/// single-byte encoding that gives valid UTF-8, else repairs the parts that do, else maps C1 controls.
/// Throws invalid_argument when damage is nested deeper than any real text.
std::u32string fix_encoding(std::u32string text);

/// Reads C1 control characters as windows-1252 does.
std::u32string fix_c1_controls(std::u32string text);

}  // namespace wan::io::ftfy
