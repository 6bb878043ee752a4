#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wan::io {

/// SentencePiece's precompiled normalisation rules (NFKC with extras), applied as Hugging Face's fast tokenizers do:
/// to whole grapheme clusters below six bytes, else to single characters. That differs from SentencePiece itself, for
/// instance in dropping a combining mark after a compatibility character, and upstream uses the fast tokenizer.
class CharsmapNormalizer {
 public:
  /// `charsmap`: u32 size of a double-array trie, the trie, then NUL-terminated replacements. Empty: no rules.
  /// Throws bad_file when the sizes disagree.
  CharsmapNormalizer(std::string_view charsmap, const std::string& where);

  /// `text` is valid UTF-8. Linear.
  std::string normalize(std::string_view text) const;

 private:
  std::optional<std::string_view> replacement(std::string_view chunk) const;

  std::vector<uint32_t> trie_;
  std::string replacements_;
};

}  // namespace wan::io
