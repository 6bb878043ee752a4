#pragma once
#include <string>
#include <string_view>

// The character-level repairs of ftfy 6, one function each, under ftfy's names. All are linear.
namespace wan::io::ftfy {

std::u32string fix_latin_ligatures(std::u32string_view text);      ///< "ﬁ" becomes "fi"
std::u32string fix_character_width(std::u32string_view text);      ///< full and half width forms become standard ones
std::u32string uncurl_quotes(std::u32string text);                 ///< curly quotes become ' and "
std::u32string fix_line_breaks(std::u32string_view text);          ///< CR LF, CR, U+2028, U+2029, U+0085 become LF
std::u32string remove_terminal_escapes(std::u32string_view text);  ///< ESC [ digits and ';' letter
std::u32string remove_control_chars(std::u32string text);          ///< controls without effect, byte order marks

}  // namespace wan::io::ftfy
