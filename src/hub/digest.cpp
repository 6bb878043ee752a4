#include "hub/digest.h"

#include <fmt/ranges.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "core/error.h"
#include "io/file_descriptor.h"

namespace wan::hub {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

void check(int ok) { require(ok == 1, ErrorCode::unsupported, "[hash] libcrypto cannot compute sha256 and sha1 here"); }

}  // namespace

std::optional<Digest> parse_digest(std::string_view text) {
  if (text.size() != 40 && text.size() != 64) return std::nullopt;
  Digest digest{text.size() == 64 ? Digest::Kind::sha256 : Digest::Kind::git_sha1, std::string(text)};
  for (char& c : digest.hex) {
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return std::nullopt;
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return digest;
}

struct Hasher::State {
  std::unique_ptr<EVP_MD_CTX, FreeContext> context{EVP_MD_CTX_new()};
};

Hasher::Hasher(Digest::Kind kind, int64_t size) : state_(std::make_unique<State>()) {
  check(EVP_DigestInit_ex(state_->context.get(), kind == Digest::Kind::sha256 ? EVP_sha256() : EVP_sha1(), nullptr));
  if (kind == Digest::Kind::git_sha1) {
    const std::string header = fmt::format("blob {}", size);
    add(std::as_bytes(std::span(header.c_str(), header.size() + 1)));
  }
}

Hasher::~Hasher() = default;

void Hasher::add(std::span<const std::byte> bytes) {
  check(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()));
}

std::string Hasher::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  check(EVP_DigestFinal_ex(state_->context.get(), digest.data(), &size));
  return fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + size, ""));
}

std::string hash_file(int fd, Digest::Kind kind, int64_t size, const std::string& where,
                      const std::function<void(int64_t)>& on_bytes) {
  Hasher hasher(kind, size);
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (int64_t at = 0; at < size;) {
    const int64_t n = std::min<int64_t>(size - at, static_cast<int64_t>(buffer.size()));
    const auto piece = std::span(buffer).first(static_cast<size_t>(n));
    io::read_exact_at(fd, at, piece, where);
    hasher.add(piece);
    if (on_bytes) on_bytes(n);
    at += n;
  }
  return hasher.hex();
}

}  // namespace wan::hub
