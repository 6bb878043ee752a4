#include "comm/messages.h"

#include <gmock/gmock.h>

#include <random>

#include "support/expect_error.h"

namespace wan::comm {
namespace {

using test::expect_error;

Hello a_hello() {
  return {
      .size = 4,
      .member = {.rank = 2, .process = 77, .host = "gpu2", .gpu = "GPU 0", .gpu_id = "GPU-1", .address = "10.0.0.2"},
      .same = {{"program", "0.1"}, {"model", "abc"}}};
}

TEST(Messages, ComeBackAsTheyWere) {
  const Hello h = decode_hello(encode(a_hello()));
  EXPECT_EQ(h.size, 4);
  EXPECT_EQ(h.member.rank, 2);
  EXPECT_EQ(h.member.gpu_id, "GPU-1");
  EXPECT_EQ(h.member.address, "10.0.0.2");
  EXPECT_EQ(h.same, a_hello().same);

  Welcome w;
  w.nonce[3] = std::byte{9};
  w.members = {Member{.rank = 0, .host = "a"}, Member{.rank = 1, .host = "b"}};
  const Welcome w2 = decode_welcome(encode(w), 2);
  EXPECT_EQ(w2.nonce, w.nonce);
  EXPECT_EQ(w2.members[1].host, "b");

  const Status s{5, 6, true, "all_gather", "step 1 of 2"};
  EXPECT_EQ(decode_status(encode(s)), s);
  EXPECT_EQ(decode_verdict(encode(Verdict{ErrorCode::out_of_memory, "why"})).code, ErrorCode::out_of_memory);
  uint64_t number = 0;
  const std::vector<Bytes> parts = {Bytes(3), Bytes()};
  EXPECT_EQ(decode_gathered(encode_gathered(7, parts), 2, number), parts);
  EXPECT_EQ(number, 7u);
}

TEST(Messages, AnotherVersionsHelloIsOnlyItsNumber) {
  const Bytes other = Writer().number(protocol_version + 1).text("whatever comes then").take();
  EXPECT_EQ(decode_hello(other).protocol, protocol_version + 1);
}

TEST(Messages, ShortLongAndWildBytesAreRefused) {
  const Bytes good = encode(a_hello());
  for (size_t n = 0; n < good.size(); ++n)
    expect_error(
        ErrorCode::comm, [&] { decode_hello(std::span(good).first(n)); }, "[message]");
  Bytes longer = good;
  longer.push_back(std::byte{0});
  expect_error(
      ErrorCode::comm, [&] { decode_hello(longer); }, "too many");
  expect_error(
      ErrorCode::comm,
      [&] {
        decode_welcome(encode(Welcome{{}, {Member{.rank = 1}}}), 1);
      },
      "rank 1");
  Bytes huge = Writer().number(~uint64_t{0}).take();
  expect_error(
      ErrorCode::comm, [&] { Reader(huge).bytes(~size_t{0}); }, "early");

  std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed): the same bytes each time
  for (int i = 0; i < 20000; ++i) {
    Bytes wild = good;
    for (int k = 0; k < 3; ++k) wild[random() % wild.size()] = static_cast<std::byte>(random() & 0xff);
    try {
      decode_hello(wild);
    } catch (const Error&) {
    }
  }
}

TEST(Messages, FramesComeWholeFromAnyPieces) {
  Bytes stream;
  for (const size_t n : {0, 1, 300}) {
    const Bytes f = frame(static_cast<uint8_t>(n % 7), Bytes(n, std::byte{5}));
    stream.insert(stream.end(), f.begin(), f.end());
  }
  FrameReader reader(300);
  std::vector<size_t> sizes;
  for (const std::byte b : stream) {
    reader.put(std::span(&b, 1));
    while (const auto f = reader.next()) sizes.push_back(f->body.size());
  }
  EXPECT_EQ(sizes, (std::vector<size_t>{0, 1, 300}));
}

TEST(Messages, StrangersAndGiantsAreRefusedEarly) {
  const auto put = [](std::string_view text, size_t limit) {
    FrameReader reader(limit);
    reader.put(std::as_bytes(std::span(text)));
    return reader.next();
  };
  expect_error(
      ErrorCode::comm, [&] { put("G", 10); }, "none of wan's");
  expect_error(
      ErrorCode::comm, [&] { put("WANX", 10); }, "none of wan's");
  const std::string_view giant("WANC\x01\xff\xff\xff\x7f", 9);
  expect_error(
      ErrorCode::comm, [&] { put(giant, 1000); }, "at most 1000");
}

TEST(Messages, LongTraitsAreCutButKeptApart) {
  const std::string text(5000, 'x');
  const Trait a = shortened({"request", text + "a"}), b = shortened({"request", text + "b"});
  EXPECT_LT(a.value.size(), 300u);
  EXPECT_NE(a.value, b.value);
  EXPECT_EQ(shortened({"model", "abc"}).value, "abc");
}

}  // namespace
}  // namespace wan::comm
