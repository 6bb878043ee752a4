#include "io/pickle.h"

#include <gtest/gtest.h>

#include "io/torch_file.h"
#include "support/bytes.h"
#include "support/expect_error.h"
#include "support/pickle_builder.h"

namespace wan::io {
namespace {

using test::expect_error;
using test::pickle_begin;
using test::pickle_global;
using test::pickle_text;
using Kind = Pickle::Kind;

constexpr std::string_view allowed[] = {"collections OrderedDict", "m f"};

Pickle parse(const std::string& bytes, const PickleLimits& limits = {}) {
  static const std::string where = "a.pth";
  return Pickle::parse(std::as_bytes(std::span(bytes)), where, allowed, limits);
}

template <class... Texts>
void refused(const std::string& body, Texts... texts) {
  const std::string bytes = pickle_begin + body;
  expect_error(
      ErrorCode::bad_file, [&] { parse(bytes); }, "[a.pth]", texts...);
}

TEST(Pickle, ReadsPlainValues) {
  const std::string bytes = pickle_begin + "(" + "N\x88\x89" + "K\x07" + "M" + test::little<uint16_t>(500) + "J" +
                            test::little<int32_t>(-5) + std::string("\x8a\x00", 2) +
                            std::string("\x8a\x02\x00\x80", 4) + pickle_text("text") + "U\x02hi" + "G12345678" + ")" +
                            "]" + "}" + "t.";
  const Pickle pickle = parse(bytes);
  ASSERT_EQ(pickle.kind(pickle.root()), Kind::tuple);
  const auto items = pickle.items(pickle.root());
  const Kind kinds[] = {Kind::none,    Kind::boolean, Kind::boolean, Kind::integer, Kind::integer,
                        Kind::integer, Kind::integer, Kind::integer, Kind::string,  Kind::string,
                        Kind::real,    Kind::tuple,   Kind::list,    Kind::dict};
  ASSERT_EQ(items.size(), std::size(kinds));
  for (size_t i = 0; i < items.size(); ++i) EXPECT_EQ(pickle.kind(items[i]), kinds[i]) << i;
  EXPECT_EQ(pickle.integer(items[1]), 1);
  EXPECT_EQ(pickle.integer(items[3]), 7);
  EXPECT_EQ(pickle.integer(items[4]), 500);
  EXPECT_EQ(pickle.integer(items[5]), -5);
  EXPECT_EQ(pickle.integer(items[6]), 0);
  EXPECT_EQ(pickle.integer(items[7]), -32768);
  EXPECT_EQ(pickle.text(items[8]), "text");
  EXPECT_EQ(pickle.text(items[9]), "hi");
}

TEST(Pickle, BuildsContainers) {
  // {"k": [1, 2], "o": OrderedDict with one item}, through the memo
  const std::string bytes = pickle_begin + std::string("}q") + std::string(1, '\0') + "(" + pickle_text("k") + "q\x01" +
                            "](K\x01K\x02" + "e" + pickle_text("o") + pickle_global("collections", "OrderedDict") +
                            ")R" + "h\x01" + "K\x09" + "s" + "u.";
  const Pickle pickle = parse(bytes);
  const auto items = pickle.items(pickle.root());
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(pickle.items(items[1]).size(), 2u);
  EXPECT_EQ(pickle.kind(items[3]), Kind::call);
  EXPECT_EQ(pickle.text(pickle.callee(items[3])), "collections OrderedDict");
  EXPECT_EQ(pickle.text(pickle.items(items[3])[0]), "k");
}

TEST(Pickle, CallsAreOnlyDescribed) {
  const std::string bytes = pickle_begin + pickle_global("m", "f") + "K\x01\x85" + "R" + ".";
  const Pickle pickle = parse(bytes);
  ASSERT_EQ(pickle.kind(pickle.root()), Kind::call);
  EXPECT_EQ(pickle.text(pickle.callee(pickle.root())), "m f");
  EXPECT_EQ(pickle.items(pickle.argument(pickle.root())).size(), 1u);
}

TEST(Pickle, RefusesAndNamesOtherGlobals) {
  refused(pickle_global("os", "system") + pickle_text("echo") + "\x85R.", "'os system'", "do not use this file");
  refused(pickle_global("builtins", "eval") + ".", "'builtins eval'");
  refused(pickle_global("collections", "OrderedDict.fromkeys") + ".", "'collections OrderedDict.fromkeys'");
  refused(pickle_global("collections ", "OrderedDict") + ".", "'collections  OrderedDict'");
  refused(pickle_global("torch\x1b", "load") + ".", "'torch\\x1b load'");
  refused("(iposix\nsystem\n.", "'posix system'");
  refused(pickle_text("posix") + pickle_text("system") + "\x93.", "'posix system'");
}

TEST(Pickle, RefusesOpcodesThatTorchDoesNotWrite) {
  // NEWOBJ, OBJ, EXT1, PERSID, FLOAT, INT, LONG4, DUP, MEMOIZE, FRAME, BYTEARRAY8, NEXT_BUFFER
  for (const char* op : {"\x81", "o", "\x82", "P", "F", "I", "\x8b", "2", "\x94", "\x95", "\x96", "\x97", "\xff"})
    refused(std::string("))") + op + "x\nx\n.", "has the opcode");
  refused("\x80\x04N.", "protocol 4");
  refused(std::string("\x8a\x09") + std::string(9, '\x01') + ".", "integer of 9 bytes");
}

TEST(Pickle, RefusesNestedCalls) {
  const std::string f = pickle_global("m", "f");
  refused(f + ")R)R.", "calls a call");
  refused("K\x01)R.", "calls a int");
  refused(std::string(")") + std::string(")R."), "calls a tuple");
  refused(pickle_text("os.system") + ")R.", "calls a string");
  refused(f + "K\x01R.", "without a tuple");
  refused(f + ")R}b.", "sets the state of a call");
  refused("}}b.", "sets the state of a dict");
  refused(f + ")RK\x01K\x02s.", "sets items of a call");
}

TEST(Pickle, RefusesBrokenStacks) {
  refused(".", "takes more values");
  refused("0.", "takes more values");
  refused("\x85.", "takes more values");
  refused("t.", "ends a group");
  refused("1.", "ends a group");
  refused("R.", "takes more values");
  refused("s.", "takes more values");
  refused("Q.", "takes more values");
  refused("(K\x01K\x02s.", "takes more values");
  refused("}(s.", "takes more values");  // the dict is below the mark
  refused("}(K\x01u.", "key without a value");
  refused("](K\x01u.", "sets items of a list");
  refused(
      "}K\x01"
      "a.",
      "appends to a dict");
  refused("N(", "1 bytes were expected");
  refused("X\xff\xff\xff\xff", "4294967295 bytes were expected");
  refused("cos\nsys", "bytes were expected");
  EXPECT_NO_THROW(parse(pickle_begin + "N(K\x01"
                                       "1(0."));
}

TEST(Pickle, EveryTruncationIsAnError) {
  const std::string whole = test::read_file(WAN_SOURCE_DIR "/fuzz/corpus/pickle/nested");
  EXPECT_EQ(read_state_dict(test::to_bytes(whole), "a.pth").size(), 10u);
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_THROW(read_state_dict(test::to_bytes(whole.substr(0, n)), "a.pth"), Error) << n;
}

TEST(Pickle, MemoBombs) {
  refused("Nr\xff\xff\xff\xff.", "remembers a value as number 4294967295");
  refused("Nq\x01.", "remembers a value as number 1 after 0");
  refused("h\x05.", "recalls number 5 of 0");
  refused(std::string("q") + std::string(1, '\0') + ".", "takes more values");
  // A billion laughs: each list holds the previous one ten times. Shared, never expanded.
  std::string laughs = std::string("]q") + std::string(1, '\0');
  for (int level = 1; level < 100; ++level) {
    laughs += "](";
    for (int i = 0; i < 10; ++i) laughs += std::string("h") + std::string(1, static_cast<char>(level - 1));
    laughs += std::string("eq") + std::string(1, static_cast<char>(level));
  }
  refused(laughs + "(.", "takes more values");
  const std::string honest = pickle_begin + laughs + ".";
  EXPECT_EQ(parse(honest).items(parse(honest).root()).size(), 10u);
  // A list that holds itself.
  const std::string cycle =
      pickle_begin + std::string("]q") + std::string(1, '\0') + std::string("h") + std::string(1, '\0') + "a.";
  EXPECT_EQ(parse(cycle).items(parse(cycle).root()).size(), 1u);
}

TEST(Pickle, MillionDeepTuplesNeedNoStack) {
  const std::string tuples = pickle_begin + std::string(")") + std::string(1'000'000, '\x85') + ".";
  {
    const Pickle pickle = parse(tuples);
    EXPECT_EQ(pickle.kind(pickle.root()), Kind::tuple);
  }
  expect_error(
      ErrorCode::bad_file, [&] { read_state_dict(test::to_bytes(tuples), "a.pth"); }, "holds a tuple");
  const std::string lists = pickle_begin + std::string(1'000'000, ']') + std::string(999'999, 'a') + ".";
  EXPECT_EQ(parse(lists).kind(parse(lists).root()), Kind::list);
  const std::string marks = pickle_begin + std::string(1'000'000, '(') + std::string(1'000'000, 't') + ".";
  EXPECT_EQ(parse(marks).kind(parse(marks).root()), Kind::tuple);
}

TEST(Pickle, KeepsToItsLimits) {
  const std::string bytes = pickle_begin + std::string("(") + std::string(100, 'N') + "t.";
  EXPECT_NO_THROW(parse(bytes, {.max_values = 101}));
  expect_error(
      ErrorCode::bad_file, [&] { parse(bytes, {.max_values = 100}); }, "more than 100 values");
  expect_error(
      ErrorCode::bad_file, [&] { parse(bytes, {.max_bytes = 10}); }, "at most 10 bytes");
}

}  // namespace
}  // namespace wan::io
