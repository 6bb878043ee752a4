#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace wan::io {

/// The longest prompt that is accepted, in bytes. The text encoder reads 512 tokens, some 2 KB of text.
inline constexpr std::size_t kMaxPromptBytes = 64 * 1024;

/// Cleans a prompt exactly as upstream's tokenizer does with clean='whitespace': ftfy's fix_text, HTML references
/// resolved twice, white space collapsed to single spaces and trimmed.
/// Throws invalid_argument for prompts above kMaxPromptBytes, invalid UTF-8, NUL, and absurdly nested escapes.
/// Linear in the length of the prompt.
std::string clean_prompt(std::string_view utf8);

}  // namespace wan::io
