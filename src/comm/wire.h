#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Messages between processes: a frame is magic, type and length (9 bytes, little-endian), then the body. Bytes that
/// come in are hostile until they are parsed.
namespace wan::comm {

using Bytes = std::vector<std::byte>;

class Writer {
 public:
  Writer& number(uint64_t value);
  Writer& text(std::string_view value) { return bytes(std::as_bytes(std::span(value))); }
  Writer& bytes(std::span<const std::byte> value);
  Bytes take() { return std::move(out_); }

 private:
  Bytes out_;
};

/// Reads what Writer wrote; throws Error(comm) where bytes are missing or too many.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) : in_(in) {}
  uint64_t number();
  /// A number of at most `max`.
  uint64_t number(uint64_t max);
  std::string text(size_t max);
  Bytes bytes(size_t max);
  void end() const;

 private:
  std::span<const std::byte> take(size_t n);
  std::span<const std::byte> in_;
};

struct Frame {
  uint8_t type = 0;
  Bytes body;
};

Bytes frame(uint8_t type, std::span<const std::byte> body);

/// Frames from bytes as they come in. Throws Error(comm) where they are none, or where a body is longer than the limit;
/// holds no more than was put in.
class FrameReader {
 public:
  explicit FrameReader(size_t max_body) : max_body_(max_body) {}
  void put(std::span<const std::byte> bytes);
  std::optional<Frame> next();
  void set_limit(size_t max_body) { max_body_ = max_body; }

 private:
  size_t max_body_;
  Bytes pending_;
};

}  // namespace wan::comm
