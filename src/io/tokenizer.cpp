#include "io/tokenizer.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/text_unicode.h"

namespace wan::io {
namespace {

constexpr int64_t kMaxFileBytes = 64 << 20;              // umT5's own files have 4.5 and 17 MB
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581
constexpr int32_t kDefaultExtraIds = 100;

TokenizerSettings default_settings(const SentencePieceModel& model) {
  TokenizerSettings settings;
  settings.byte_fallback = model.byte_fallback;
  const auto count = static_cast<int32_t>(model.pieces.size());
  for (int32_t i = 0; i < count; ++i) {
    const SentencePieceModel::Piece& piece = model.pieces[static_cast<std::size_t>(i)];
    using Type = SentencePieceModel::PieceType;
    if (piece.type == Type::control || piece.type == Type::unknown || piece.type == Type::user_defined) {
      settings.special_tokens[piece.text] = i;
    }
  }
  for (int32_t i = 0; i < kDefaultExtraIds; ++i) {
    settings.special_tokens.emplace(fmt::format("<extra_id_{}>", i), count + kDefaultExtraIds - 1 - i);
  }
  return settings;
}

TokenizerSettings read_settings(const std::filesystem::path& path) {
  const nlohmann::json json =
      read_json_file(path, {.max_bytes = kMaxFileBytes, .max_depth = 32, .max_values = 4'000'000});
  const std::string where = path.string();
  const JsonReader top(json, where);
  require(top.has("model") && top.has("added_tokens") && json["added_tokens"].is_array(), ErrorCode::bad_file,
          "[{}] it lacks 'model' or the list 'added_tokens'; download tokenizer.json again, or remove it", where);
  TokenizerSettings settings;
  const JsonReader model(json["model"], where + ": model");
  require(model.string("type", "Unigram") == "Unigram", ErrorCode::unsupported,
          "[{}] the tokenizer is a {}, expected Unigram, as umT5 uses; take the files of google/umt5-xxl", where,
          model.string("type"));
  settings.byte_fallback = model.boolean("byte_fallback", false);
  for (const nlohmann::json& entry : json["added_tokens"]) {
    const JsonReader token(entry, where + ": added_tokens");
    const int64_t id = token.integer("id");
    require(id >= 0 && id < (1 << 24), ErrorCode::bad_file, "[{}] an added token has id {}, expected 0 to 2^24", where,
            id);
    const std::string content = token.string("content");
    require(!content.empty(), ErrorCode::bad_file, "[{}] added token {} is empty", where, id);
    settings.special_tokens[content] = static_cast<int32_t>(id);
  }
  return settings;
}

SentencePieceModel read_model(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  require(file->size() <= kMaxFileBytes, ErrorCode::bad_file,
          "[{}] it has {} bytes, at most {} are accepted (umT5's has 4.5 MB); download spiece.model again",
          file->name(), file->size(), kMaxFileBytes);
  return parse_sentencepiece_model(file->read(0, file->size()), file->name());
}

// The model's pieces, then the added tokens with ids right after them, as the fast tokenizer's vocabulary has them.
std::vector<UnigramEncoder::Piece> vocabulary(const SentencePieceModel& model, const TokenizerSettings& settings) {
  std::vector<UnigramEncoder::Piece> pieces;
  pieces.reserve(model.pieces.size() + settings.special_tokens.size());
  for (const SentencePieceModel::Piece& p : model.pieces) pieces.push_back({p.text, static_cast<double>(p.score)});
  std::map<int32_t, std::string> added;
  for (const auto& [text, id] : settings.special_tokens) added[id] = text;
  for (auto it = added.lower_bound(static_cast<int32_t>(pieces.size()));
       it != added.end() && it->first == static_cast<int32_t>(pieces.size()); ++it) {
    pieces.push_back({it->second, 0.0});
  }
  return pieces;
}

// Spaces at the end go; two spaces or more become one mark, as does one; the text starts with a mark.
std::string mark_spaces(std::string_view text) {
  while (!text.empty()) {
    std::size_t last = text.size() - 1;
    while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xC0) == 0x80) --last;
    char32_t c = 0;
    if (decode_utf8_char(text.substr(last), c) == 0 || !is_white_space(c)) break;
    text.remove_suffix(text.size() - last);
  }
  std::string out;
  if (text.empty()) return out;
  out.reserve(text.size() + text.size() / 2);
  if (text.front() != ' ' && !text.starts_with(kSpaceMark)) out += kSpaceMark;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ' ') {
      out += text[i];
    } else if (i == 0 || text[i - 1] != ' ') {
      out += kSpaceMark;
    }
  }
  return out;
}

}  // namespace

Tokenizer::Tokenizer(SentencePieceModel model, TokenizerSettings settings, const std::string& where)
    : normalizer_(model.precompiled_charsmap, where),
      special_tokens_(settings.special_tokens.begin(), settings.special_tokens.end()),
      vocabulary_size_(static_cast<int32_t>(model.pieces.size())),
      unigram_(vocabulary(model, settings), model.unk_id, settings.byte_fallback) {
  const auto end = special_tokens_.find("</s>");
  require(end != special_tokens_.end(), ErrorCode::bad_file,
          "[{}] it has no token </s>, which ends every prompt; take spiece.model of google/umt5-xxl", where);
  end_id_ = end->second;
  std::set<std::size_t, std::greater<>> lengths;
  for (const auto& [text, id] : special_tokens_) {
    lengths.insert(text.size());
    vocabulary_size_ = std::max(vocabulary_size_, id + 1);
  }
  special_lengths_.assign(lengths.begin(), lengths.end());
}

Tokenizer Tokenizer::load(const std::filesystem::path& spiece_model) {
  SentencePieceModel model = read_model(spiece_model);
  const std::filesystem::path json = spiece_model.parent_path() / "tokenizer.json";
  std::error_code ignored;
  TokenizerSettings settings = std::filesystem::exists(json, ignored) ? read_settings(json) : default_settings(model);
  return Tokenizer(std::move(model), std::move(settings), spiece_model.string());
}

Tokenizer Tokenizer::from_bytes(std::span<const std::byte> spiece_model, const std::string& where) {
  SentencePieceModel model = parse_sentencepiece_model(spiece_model, where);
  TokenizerSettings settings = default_settings(model);
  return Tokenizer(std::move(model), std::move(settings), where);
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, int max_tokens) const {
  require(max_tokens >= 1, ErrorCode::invalid_argument, "[tokenizer] max_tokens is {}, expected at least 1",
          max_tokens);
  for (std::size_t i = 0; i < text.size();) {
    char32_t c = 0;
    const std::size_t length = decode_utf8_char(text.substr(i), c);
    require(length > 0, ErrorCode::invalid_argument, "[tokenizer] byte {} of the text is not valid UTF-8", i);
    i += length;
  }
  std::vector<int32_t> ids;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto special = [&] {
      for (const std::size_t length : special_lengths_) {
        if (length > text.size() - i) continue;
        const auto it = special_tokens_.find(text.substr(i, length));
        if (it != special_tokens_.end()) return it;
      }
      return special_tokens_.end();
    }();
    if (special == special_tokens_.end()) {
      ++i;
      continue;
    }
    encode_plain(text.substr(begin, i - begin), ids);
    ids.push_back(special->second);
    begin = i += special->first.size();
  }
  encode_plain(text.substr(begin), ids);
  ids.resize(std::min(ids.size(), static_cast<std::size_t>(max_tokens) - 1));
  ids.push_back(end_id_);
  return ids;
}

void Tokenizer::encode_plain(std::string_view text, std::vector<int32_t>& ids) const {
  const std::string marked = mark_spaces(normalizer_.normalize(text));
  for (std::size_t begin = 0; begin < marked.size();) {
    const std::size_t end = std::min(marked.find(kSpaceMark, begin + 1), marked.size());
    unigram_.encode(std::string_view(marked).substr(begin, end - begin), ids);
    begin = end;
  }
}

}  // namespace wan::io
