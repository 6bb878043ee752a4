#include "io/tokenizer_unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "io/text_unicode.h"

namespace wan::io {
namespace {

constexpr double kUnknownPenalty = 10.0;

unsigned char byte_at(std::string_view text, std::size_t i) { return static_cast<unsigned char>(text[i]); }

}  // namespace

UnigramEncoder::UnigramEncoder(std::vector<Piece> pieces, int32_t unk_id, bool byte_fallback)
    : pieces_(std::move(pieces)), unk_id_(unk_id), byte_fallback_(byte_fallback) {
  double lowest = std::numeric_limits<double>::infinity();
  std::vector<Entry> entries;
  entries.reserve(pieces_.size());
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    entries.push_back({pieces_[i].text, static_cast<int32_t>(i)});
    lowest = std::min(lowest, pieces_[i].score);
  }
  unk_score_ = lowest - kUnknownPenalty;
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.text != b.text ? a.text < b.text : a.id > b.id; });
  std::unique_copy(entries.begin(), entries.end(), std::back_inserter(sorted_),
                   [](const Entry& a, const Entry& b) { return a.text == b.text; });
  std::size_t next = 0;
  for (std::size_t b = 0; b < 256; ++b) {
    first_byte_[b] = next;
    while (next < sorted_.size() && byte_at(sorted_[next].text, 0) == b) ++next;
    byte_ids_[b] = find(fmt::format("<0x{:02X}>", b));
  }
  first_byte_[256] = next;
}

// Calls found(length, id) for every piece that `text` starts with, shortest first.
template <class Found>
void UnigramEncoder::for_each_prefix(std::string_view text, Found found) const {
  std::size_t low = first_byte_[byte_at(text, 0)];
  std::size_t high = first_byte_[byte_at(text, 0) + 1U];
  for (std::size_t length = 1; low < high; ++length) {
    // sorted_[low, high) share the first `length` bytes with the text; a piece of just these bytes comes first.
    if (sorted_[low].text.size() == length) found(length, sorted_[low++].id);
    if (length == text.size()) return;
    const unsigned char wanted = byte_at(text, length);
    const auto begin = sorted_.begin() + static_cast<std::ptrdiff_t>(low);
    const auto end = sorted_.begin() + static_cast<std::ptrdiff_t>(high);
    const auto from =
        std::partition_point(begin, end, [&](const Entry& e) { return byte_at(e.text, length) < wanted; });
    const auto to = std::partition_point(from, end, [&](const Entry& e) { return byte_at(e.text, length) == wanted; });
    low = static_cast<std::size_t>(from - sorted_.begin());
    high = static_cast<std::size_t>(to - sorted_.begin());
  }
}

int32_t UnigramEncoder::find(std::string_view text) const {
  const auto it = std::lower_bound(sorted_.begin(), sorted_.end(), text,
                                   [](const Entry& e, std::string_view t) { return e.text < t; });
  return it != sorted_.end() && it->text == text ? it->id : -1;
}

void UnigramEncoder::append_unknown(std::string_view text, std::vector<int32_t>& ids) const {
  const bool has_bytes =
      std::all_of(text.begin(), text.end(), [&](char b) { return byte_ids_[static_cast<unsigned char>(b)] >= 0; });
  if (!byte_fallback_ || !has_bytes) {
    ids.push_back(unk_id_);
    return;
  }
  for (const char b : text) ids.push_back(byte_ids_[static_cast<unsigned char>(b)]);
}

void UnigramEncoder::encode(std::string_view word, std::vector<int32_t>& ids) const {
  struct Node {
    double score = 0;       // of the best sequence that ends here
    std::size_t begin = 0;  // of its last piece
    int32_t id = -1;        // of its last piece; -1: none ends here
  };
  std::vector<Node> best(word.size() + 1);
  const auto offer = [&](std::size_t begin, std::size_t end, double score, int32_t id) {
    if (best[end].id < 0 || score > best[end].score) best[end] = {score, begin, id};
  };
  for (std::size_t begin = 0; begin < word.size();) {
    char32_t c = 0;
    const std::size_t one = std::max<std::size_t>(decode_utf8_char(word.substr(begin), c), 1);
    const double so_far = best[begin].score;
    bool known = false;
    for_each_prefix(word.substr(begin), [&](std::size_t length, int32_t id) {
      offer(begin, begin + length, pieces_[static_cast<std::size_t>(id)].score + so_far, id);
      known = known || length == one;
    });
    if (!known) offer(begin, begin + one, unk_score_ + so_far, unk_id_);
    begin += one;
  }
  struct Span {
    std::size_t begin, end;
    bool unknown;
  };
  std::vector<Span> spans;  // last first
  for (std::size_t end = word.size(); end > 0; end = spans.back().begin) {
    const bool unknown = best[end].id == unk_id_;
    if (unknown && !spans.empty() && spans.back().unknown) {
      spans.back().begin = best[end].begin;
    } else {
      spans.push_back({best[end].begin, end, unknown});
    }
  }
  for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
    const std::string_view text = word.substr(span->begin, span->end - span->begin);
    const int32_t id = span->unknown ? find(text) : best[span->end].id;
    id >= 0 ? ids.push_back(id) : append_unknown(text, ids);
  }
}

}  // namespace wan::io
