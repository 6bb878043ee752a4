#include "comm/wire.h"

#include "core/error.h"

namespace wan::comm {
namespace {

constexpr uint32_t magic = 0x434e4157;  // "WANC"
constexpr size_t header_bytes = 9;

void append(Bytes& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xff));
}

uint64_t little_endian(std::span<const std::byte> in) {
  uint64_t value = 0;
  for (size_t i = 0; i < in.size(); ++i) value |= std::to_integer<uint64_t>(in[i]) << (8 * i);
  return value;
}

}  // namespace

Writer& Writer::number(uint64_t value) {
  append(out_, value, 8);
  return *this;
}

Writer& Writer::bytes(std::span<const std::byte> value) {
  number(value.size());
  out_.insert(out_.end(), value.begin(), value.end());
  return *this;
}

std::span<const std::byte> Reader::take(size_t n) {
  require(n <= in_.size(), ErrorCode::comm, "[message] it ends {} bytes early; expected a peer of this version",
          n - in_.size());
  const auto out = in_.first(n);
  in_ = in_.subspan(n);
  return out;
}

uint64_t Reader::number() { return little_endian(take(8)); }

uint64_t Reader::number(uint64_t max) {
  const uint64_t value = number();
  require(value <= max, ErrorCode::comm, "[message] {} where at most {} is expected", value, max);
  return value;
}

Bytes Reader::bytes(size_t max) {
  const auto in = take(number(max));
  return {in.begin(), in.end()};
}

std::string Reader::text(size_t max) {
  std::string out;
  for (const std::byte b : take(number(max))) out += static_cast<char>(b);
  return out;
}

void Reader::end() const {
  require(in_.empty(), ErrorCode::comm, "[message] {} bytes too many; expected a peer of this version", in_.size());
}

Bytes frame(uint8_t type, std::span<const std::byte> body) {
  Bytes out;
  out.reserve(header_bytes + body.size());
  append(out, magic, 4);
  append(out, type, 1);
  append(out, body.size(), 4);
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

void FrameReader::put(std::span<const std::byte> bytes) { pending_.insert(pending_.end(), bytes.begin(), bytes.end()); }

std::optional<Frame> FrameReader::next() {
  const std::span<const std::byte> in(pending_);
  const size_t known = std::min<size_t>(in.size(), 4);
  for (size_t i = 0; i < known; ++i)
    require(std::to_integer<uint32_t>(in[i]) == ((magic >> (8 * i)) & 0xff), ErrorCode::comm,
            "[message] these bytes are none of wan's messages");
  if (in.size() < header_bytes) return std::nullopt;
  const size_t length = little_endian(in.subspan(5, 4));
  require(length <= max_body_, ErrorCode::comm, "[message] {} bytes long, expected at most {}", length, max_body_);
  if (in.size() - header_bytes < length) return std::nullopt;
  const auto body = in.subspan(header_bytes, length);
  Frame out{std::to_integer<uint8_t>(in[4]), {body.begin(), body.end()}};
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(header_bytes + length));
  return out;
}

}  // namespace wan::comm
