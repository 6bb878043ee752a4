#include "io/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace wan::io {
namespace {

constexpr uint64_t fnv_prime = 0x100000001b3u;
constexpr size_t sampled_tensors = 64;
constexpr int64_t sample_bytes = 64;

uint64_t fnv1a(uint64_t hash, std::span<const std::byte> bytes) {
  for (const std::byte b : bytes) hash = (hash ^ std::to_integer<uint64_t>(b)) * fnv_prime;
  return hash;
}

}  // namespace

void Fingerprint::add(std::span<const std::byte> bytes) {
  // The length first, so that ("ab", "c") and ("a", "bc") differ.
  const uint64_t length = bytes.size();
  hash_ = fnv1a(hash_, std::as_bytes(std::span(&length, 1)));
  hash_ = fnv1a(hash_, bytes);
}

void Fingerprint::add(const TensorIndex& tensors) {
  add(static_cast<int64_t>(tensors.size()));
  const size_t step = std::max<size_t>(1, (tensors.size() + sampled_tensors - 1) / sampled_tensors);
  size_t i = 0;
  for (const auto& [name, entry] : tensors.entries()) {
    add(name);
    add(to_string(entry.dtype));
    add(std::as_bytes(std::span(entry.shape)));
    if (i++ % step != 0) continue;
    std::array<std::byte, sample_bytes> sample;
    const int64_t n = std::min(entry.nbytes, sample_bytes);
    for (const int64_t at : {int64_t{0}, (entry.nbytes - n) / 2}) {
      const std::span<std::byte> part(sample.data(), static_cast<size_t>(n));
      entry.file->read(entry.offset + at, part);
      add(part);
    }
  }
}

std::string Fingerprint::hex() const { return fmt::format("{:016x}", hash_); }

}  // namespace wan::io
