#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "io/ftfy_tables.h"

// Bytes of single-byte encodings, and UTF-8 in the damaged forms in which it turns up inside mojibake.
namespace wan::io::ftfy {

/// The bytes that `text` would have in `page`, or nothing when some character is not in it.
std::optional<std::string> encode(const CodePage& page, std::u32string_view text);

/// Strict UTF-8, or nothing.
std::optional<std::u32string> decode_strict_utf8(std::string_view bytes);

/// UTF-8 that may also hold surrogate pairs of three bytes each (CESU-8) and NUL as C0 80 (Java), or nothing.
std::optional<std::u32string> decode_utf8_variants(std::string_view bytes);

/// Whether the bytes hold a UTF-8 sequence in which a space stands where byte A0 belongs.
bool has_altered_utf8(std::string_view bytes);

/// Puts byte A0 back in such sequences; "C3 20" before a word becomes "à" and a space.
std::string restore_byte_a0(std::string_view bytes);

/// Replaces UTF-8 sequences of which bytes were lost (1A, or '?' once) by U+FFFD in UTF-8.
std::string replace_lossy_sequences(std::string_view bytes);

}  // namespace wan::io::ftfy
