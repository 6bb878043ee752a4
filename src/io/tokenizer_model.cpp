#include "io/tokenizer_model.h"

#include <bit>
#include <cmath>
#include <optional>
#include <string_view>

#include "core/error.h"

namespace wan::io {
namespace {

// Reads the fields of one protobuf message (varints and length-delimited fields; sentencepiece_model.proto).
class ProtoReader {
 public:
  ProtoReader(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  // Goes to the next field; false at the end.
  bool next() {
    if (position_ == bytes_.size()) return false;
    const uint64_t key = varint();
    field_ = static_cast<uint32_t>(key >> 3);
    value_ = 0;
    text_ = {};
    wire_ = static_cast<int>(key & 7);
    switch (wire_) {
      case 0: value_ = varint(); break;
      case 1: text_ = take(8); break;
      case 2: text_ = take(varint()); break;
      case 5: text_ = take(4); break;
      default: damaged("an unknown wire type");
    }
    return true;
  }

  uint32_t field() const { return field_; }
  std::string_view text() const { return expect(2), text_; }
  bool boolean() const { return expect(0), value_ != 0; }
  int32_t int32() const { return expect(0), static_cast<int32_t>(value_); }
  float float32() const {
    expect(5);
    uint32_t bits = 0;
    for (int i = 3; i >= 0; --i) bits = (bits << 8) | static_cast<unsigned char>(text_[static_cast<std::size_t>(i)]);
    return std::bit_cast<float>(bits);
  }

 private:
  [[noreturn]] void damaged(std::string_view what) const {
    fail(ErrorCode::bad_file, "[{}] it is not a SentencePiece model or is damaged ({}); download spiece.model again",
         where_, what);
  }
  void expect(int wire) const {
    if (wire_ != wire) damaged("a field of the wrong type");
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (position_ == bytes_.size()) damaged("it ends too early");
      const auto byte = static_cast<unsigned char>(bytes_[position_++]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    damaged("a number that is too long");
  }
  std::string_view take(uint64_t n) {
    if (n > bytes_.size() - position_) damaged("it ends too early");
    const std::string_view part = bytes_.substr(position_, static_cast<std::size_t>(n));
    position_ += static_cast<std::size_t>(n);
    return part;
  }

  std::string_view bytes_;
  const std::string& where_;
  std::size_t position_ = 0;
  uint32_t field_ = 0;
  int wire_ = 0;
  uint64_t value_ = 0;
  std::string_view text_;
};

SentencePieceModel::Piece parse_piece(std::string_view bytes, const std::string& where) {
  SentencePieceModel::Piece piece;
  for (ProtoReader r(bytes, where); r.next();) {
    switch (r.field()) {
      case 1: piece.text = r.text(); break;
      case 2: piece.score = r.float32(); break;
      case 3: {
        const int32_t type = r.int32();
        require(type >= 1 && type <= 6, ErrorCode::bad_file, "[{}] a piece has type {}, expected 1 to 6", where, type);
        piece.type = static_cast<SentencePieceModel::PieceType>(type);
        break;
      }
      default: break;
    }
  }
  require(!piece.text.empty(), ErrorCode::bad_file, "[{}] a piece is empty; download spiece.model again", where);
  require(std::isfinite(piece.score), ErrorCode::bad_file, "[{}] the score of piece '{}' is not a finite number", where,
          piece.text);
  return piece;
}

void parse_trainer(std::string_view bytes, const std::string& where, SentencePieceModel& model) {
  for (ProtoReader r(bytes, where); r.next();) {
    switch (r.field()) {
      case 3:
        require(r.int32() == 1, ErrorCode::unsupported,
                "[{}] the model type is {}, expected 1 (Unigram), as umT5 uses; take spiece.model of google/umt5-xxl",
                where, r.int32());
        break;
      case 35: model.byte_fallback = r.boolean(); break;
      case 40: model.unk_id = r.int32(); break;
      default: break;
    }
  }
}

void parse_normalizer(std::string_view bytes, const std::string& where, SentencePieceModel& model) {
  for (ProtoReader r(bytes, where); r.next();) {
    if (r.field() == 2) model.precompiled_charsmap = r.text();
  }
}

}  // namespace

SentencePieceModel parse_sentencepiece_model(std::span<const std::byte> bytes, const std::string& where) {
  SentencePieceModel model;
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (ProtoReader r(all, where); r.next();) {
    switch (r.field()) {
      case 1: model.pieces.push_back(parse_piece(r.text(), where)); break;
      case 2: parse_trainer(r.text(), where, model); break;
      case 3: parse_normalizer(r.text(), where, model); break;
      default: break;
    }
  }
  require(!model.pieces.empty(), ErrorCode::bad_file, "[{}] it holds no pieces; download spiece.model again", where);
  require(model.unk_id >= 0 && static_cast<std::size_t>(model.unk_id) < model.pieces.size(), ErrorCode::bad_file,
          "[{}] the unknown piece has id {}, expected 0 to {}", where, model.unk_id, model.pieces.size() - 1);
  return model;
}

}  // namespace wan::io
