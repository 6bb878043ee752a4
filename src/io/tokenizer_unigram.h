#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace wan::io {

/// Splits words into the most probable sequence of pieces (Kudo 2018, "Subword Regularization": Viterbi over a unigram
/// model). Sums in double and prefers the earlier start among equals, as Hugging Face's fast tokenizers do.
class UnigramEncoder {
 public:
  struct Piece {
    std::string text;
    double score = 0;
  };

  /// The index of a piece is its id. Of pieces with equal text the last one counts.
  UnigramEncoder(std::vector<Piece> pieces, int32_t unk_id, bool byte_fallback);
  UnigramEncoder(UnigramEncoder&&) = default;
  UnigramEncoder(const UnigramEncoder&) = delete;  // sorted_ points into pieces_

  /// Appends the ids of `word`, UTF-8. Unknown characters become their bytes' pieces, or the unknown piece once per
  /// run. Time: length of the word times the length of the longest piece.
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  struct Entry {
    std::string_view text;
    int32_t id;
  };
  template <class Found>
  void for_each_prefix(std::string_view text, Found found) const;
  int32_t find(std::string_view text) const;
  void append_unknown(std::string_view text, std::vector<int32_t>& ids) const;

  std::vector<Piece> pieces_;
  std::vector<Entry> sorted_;                // by text
  std::array<std::size_t, 257> first_byte_;  // sorted_[first_byte_[b] .. first_byte_[b + 1]) start with byte b
  std::array<int32_t, 256> byte_ids_;        // -1: no such piece
  int32_t unk_id_;
  double unk_score_;
  bool byte_fallback_;
};

}  // namespace wan::io
