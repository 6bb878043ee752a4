#pragma once
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"

namespace wan::io {

/// Takes little-endian numbers and strings off the front of bytes that nobody vouches for; running out throws bad_file
/// with the name and the offset.
class ByteReader {
 public:
  /// `base` is the offset of bytes[0] in the file `where`. Both spans must outlive the reader.
  ByteReader(std::span<const std::byte> bytes, const std::string& where, int64_t base = 0)
      : bytes_(bytes), where_(where), base_(base) {}

  template <std::unsigned_integral T>
  T number() {
    static_assert(std::endian::native == std::endian::little);
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string_view text(size_t n) {
    const auto part = take(n);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }

  /// Up to and without the next newline, which is consumed.
  std::string_view line() {
    const auto rest = bytes_.subspan(position_);
    const void* end = rest.empty() ? nullptr : std::memchr(rest.data(), '\n', rest.size());
    if (end == nullptr) run_out(rest.size() + 1);
    const auto n = static_cast<size_t>(static_cast<const std::byte*>(end) - rest.data());
    const std::string_view out = text(n);
    take(1);
    return out;
  }

  std::span<const std::byte> take(size_t n) {
    if (n > remaining()) run_out(n);
    const auto part = bytes_.subspan(position_, n);
    position_ += n;
    return part;
  }

  size_t remaining() const noexcept { return bytes_.size() - position_; }
  /// Offset in the file of the next byte.
  int64_t offset() const noexcept { return base_ + static_cast<int64_t>(position_); }

 private:
  [[noreturn]] void run_out(size_t wanted) const {
    fail(ErrorCode::bad_file,
         "[{}] {} bytes were expected at offset {}, {} are there: the file is damaged, fetch it again", where_, wanted,
         offset(), remaining());
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  int64_t base_;
  size_t position_ = 0;
};

}  // namespace wan::io
