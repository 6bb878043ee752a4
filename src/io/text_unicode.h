#pragma once
#include <string>
#include <string_view>

// Text as code points, with the character classes of Python's str, on which the reference text cleaning relies.
namespace wan::io {

/// Decodes strict UTF-8 (no surrogates, no overlong forms, at most U+10FFFF).
/// Throws invalid_argument that names `where` and the byte offset of the first fault.
std::u32string decode_utf8(std::string_view bytes, std::string_view where);

/// Encodes code points as UTF-8; the input must hold neither surrogates nor values above U+10FFFF.
std::string encode_utf8(std::u32string_view text);

/// Length of the valid UTF-8 sequence that starts at bytes[0], or 0; the code point goes to `out`.
std::size_t decode_utf8_char(std::string_view bytes, char32_t& out) noexcept;

bool is_space(char32_t c) noexcept;          ///< Python's str.isspace, and \s of its `re` module
bool is_white_space(char32_t c) noexcept;    ///< Unicode White_Space, \s of Python's `regex` module
bool is_word(char32_t c) noexcept;           ///< \w of Python's `re`: letters, all numbers, '_'
bool is_decimal_digit(char32_t c) noexcept;  ///< \d of Python's `re`

/// Unicode normalisation form C. Linear in the text, even for long runs of combining marks.
std::u32string normalize_nfc(const std::u32string& text);

}  // namespace wan::io
