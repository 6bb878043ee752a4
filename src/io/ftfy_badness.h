#pragma once
#include <cstdint>
#include <string_view>

namespace wan::io::ftfy {

/// The CharClass bits of a character; 0 for those that play no part in mojibake.
uint32_t char_class(char32_t c) noexcept;

/// Whether the text holds a character sequence that is far likelier to be mojibake than intended. The heuristic of
/// ftfy 6 (`ftfy.badness.is_bad`): unlikely neighbours by character class, plus some distinctive sequences. Linear.
bool is_bad(std::u32string_view text);

}  // namespace wan::io::ftfy
