#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/tokenizer_model.h"
#include "io/tokenizer_normalizer.h"
#include "io/tokenizer_unigram.h"

namespace wan::io {

/// What the checkpoint's `tokenizer.json` adds to its `spiece.model`.
struct TokenizerSettings {
  bool byte_fallback = true;                      // unknown characters become bytes, else the unknown token
  std::map<std::string, int32_t> special_tokens;  // recognised anywhere in the text
};

/// umT5's tokenizer, with the ids of Hugging Face's T5TokenizerFast, which upstream uses. Immutable, thread-safe.
class Tokenizer {
 public:
  /// Reads `spiece.model` (at most 64 MiB) and, where it lies beside it, `tokenizer.json` (likewise), which upstream's
  /// library prefers: it tells the special tokens and whether unknown characters become bytes. Without it: byte
  /// fallback as the model says, its control and unknown pieces, and T5's <extra_id_0..99> above the vocabulary. Throws
  /// bad_file, or unsupported for a model that is not Unigram.
  static Tokenizer load(const std::filesystem::path& spiece_model);

  /// The same from bytes; `where` names them in errors.
  static Tokenizer from_bytes(std::span<const std::byte> spiece_model, const std::string& where);

  /// Ids of a cleaned prompt (clean_prompt) in UTF-8, cut to `max_tokens` with the end token </s>, which always comes
  /// last. Throws invalid_argument for invalid UTF-8 and max_tokens < 1. Linear in the text.
  std::vector<int32_t> encode(std::string_view text, int max_tokens = 512) const;

  int32_t end_id() const noexcept { return end_id_; }
  /// One more than the largest id that encode() gives.
  int32_t vocabulary_size() const noexcept { return vocabulary_size_; }

 private:
  Tokenizer(SentencePieceModel model, TokenizerSettings settings, const std::string& where);
  void encode_plain(std::string_view text, std::vector<int32_t>& ids) const;

  CharsmapNormalizer normalizer_;
  std::map<std::string, int32_t, std::less<>> special_tokens_;
  std::vector<std::size_t> special_lengths_;  // longest first
  int32_t end_id_ = 0;
  int32_t vocabulary_size_ = 0;
  UnigramEncoder unigram_;
};

}  // namespace wan::io
