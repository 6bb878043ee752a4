#include "hub/digest.h"

#include <gtest/gtest.h>

namespace wan::hub {
namespace {

std::string hash(Digest::Kind kind, std::string_view text) {
  Hasher hasher(kind, static_cast<int64_t>(text.size()));
  hasher.add(std::as_bytes(std::span(text.substr(0, text.size() / 2))));
  hasher.add(std::as_bytes(std::span(text.substr(text.size() / 2))));
  return hasher.hex();
}

// sha256 of FIPS 180-2's examples; git's as `git hash-object` prints them.
TEST(Digest, KnownValues) {
  EXPECT_EQ(hash(Digest::Kind::sha256, "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash(Digest::Kind::sha256, ""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash(Digest::Kind::git_sha1, ""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_EQ(hash(Digest::Kind::git_sha1, "hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
}

TEST(Digest, TheLengthTellsTheKind) {
  EXPECT_EQ(parse_digest(std::string(40, 'A'))->kind, Digest::Kind::git_sha1);
  EXPECT_EQ(parse_digest(std::string(40, 'A'))->hex, std::string(40, 'a'));
  EXPECT_EQ(parse_digest(std::string(64, '0'))->kind, Digest::Kind::sha256);
  EXPECT_FALSE(parse_digest(std::string(41, '0')));
  EXPECT_FALSE(parse_digest(std::string(40, 'g')));
  EXPECT_FALSE(parse_digest("../" + std::string(37, '0')));
}

}  // namespace
}  // namespace wan::hub
