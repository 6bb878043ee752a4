#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "io/tensor_index.h"

namespace wan::io {

/// A 64-bit FNV-1a hash that keeps the parts it is fed apart. Tells files apart; it is no protection against a forger.
class Fingerprint {
 public:
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  void add(int64_t number) { add(std::as_bytes(std::span(&number, 1))); }

  /// Every tensor's name, dtype and shape, and the first and middle 64 bytes of up to 64 tensors spread over the index.
  /// Independent of the container format and of how tensors are spread over files. Reads some 8 KB.
  void add(const TensorIndex& tensors);

  /// 16 lower-case hex digits.
  std::string hex() const;

 private:
  uint64_t hash_ = 0xcbf29ce484222325u;
};

}  // namespace wan::io
