#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace wan::io {

/// What a SentencePiece model file (`spiece.model`, a protobuf message) says that encoding needs.
struct SentencePieceModel {
  enum class PieceType : uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
  struct Piece {
    std::string text;  // UTF-8, U+2581 for a space
    float score = 0;   // log probability
    PieceType type = PieceType::normal;
  };
  std::vector<Piece> pieces;  // the index is the token id
  int32_t unk_id = 0;
  bool byte_fallback = false;        // unknown characters become their UTF-8 bytes
  std::string precompiled_charsmap;  // the normalisation rules; empty: none
};

/// Parses and checks a Unigram model. Throws bad_file, naming `where`, for anything malformed or of another kind.
SentencePieceModel parse_sentencepiece_model(std::span<const std::byte> bytes, const std::string& where);

}  // namespace wan::io
