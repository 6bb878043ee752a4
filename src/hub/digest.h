#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace wan::hub {

/// What a hub says of a file's content: 64 hex digits are its sha256, 40 are git's blob id, the sha1 of
/// "blob <size>\0" and the content.
struct Digest {
  enum class Kind { sha256, git_sha1 };
  Kind kind = Kind::sha256;
  std::string hex;  ///< lower case
  bool operator==(const Digest&) const = default;
};

/// Nullopt unless `text` is 40 or 64 hex digits (in either case).
std::optional<Digest> parse_digest(std::string_view text);

/// Computes a Digest piece by piece.
class Hasher {
 public:
  Hasher(Digest::Kind kind, int64_t size);
  ~Hasher();
  void add(std::span<const std::byte> bytes);
  /// Once, at the end.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Of a whole open file of `size` bytes. `on_bytes` is told of each piece and may throw to stop.
std::string hash_file(int fd, Digest::Kind kind, int64_t size, const std::string& where,
                      const std::function<void(int64_t)>& on_bytes = {});

}  // namespace wan::hub
