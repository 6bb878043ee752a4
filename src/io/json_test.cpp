#include "io/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <span>

#include "support/bytes.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace wan::io {
namespace {

using test::expect_error;

nlohmann::json parse(std::string_view text, const JsonLimits& limits = {}) {
  return parse_json(std::as_bytes(std::span(text)), "config.json", limits);
}

TEST(Json, Parses) {
  const auto document = parse(R"( {"a": [1, -2, 2.5, true, null, "\u00e9"], "b": {"c": {}}} )");
  EXPECT_EQ(document, nlohmann::json::parse(R"({"a": [1, -2, 2.5, true, null, "\u00e9"], "b": {"c": {}}})"));
  EXPECT_EQ(parse("7"), 7);
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* text :
       {"", "{", R"({"a":})", "{'a':1}", "[1,]", "nul", "[1] 2", "{\"a\":\"\xff\"}", "// x\n1", "[NaN]"})
    expect_error(
        ErrorCode::bad_file, [&] { parse(text); }, "[config.json] is not valid JSON at byte");
}

TEST(Json, RefusesDuplicateKeys) {
  expect_error(
      ErrorCode::bad_file, [&] { parse(R"({"a": {"dim": 1, "x": 2, "dim": 3}})"); }, "'dim' occurs twice");
  EXPECT_EQ(parse(R"({"a": {"dim": 1}, "dim": 2})")["dim"], 2);
}

TEST(Json, KeepsToItsLimits) {
  const std::string deep = std::string(1'000'000, '[');
  expect_error(
      ErrorCode::bad_file, [&] { parse(deep); }, "deeper than 32");
  const std::string nested = "[[[1]]]";
  EXPECT_NO_THROW(parse(nested, {.max_depth = 3}));
  expect_error(
      ErrorCode::bad_file, [&] { parse(nested, {.max_depth = 2}); }, "deeper than 2");
  EXPECT_NO_THROW(parse("[1,2]", {.max_values = 3}));
  expect_error(
      ErrorCode::bad_file, [&] { parse("[1,2,3]", {.max_values = 3}); }, "more than 3 JSON values");
  expect_error(
      ErrorCode::bad_file, [&] { parse("[1, 2, 3]", {.max_bytes = 8}); }, "at most 8 bytes");
}

TEST(Json, ReadsFiles) {
  const test::TempDir dir;
  test::write_file(dir / "c.json", R"({"dim": 96})");
  EXPECT_EQ(read_json_file(dir / "c.json")["dim"], 96);
  expect_error(
      ErrorCode::bad_file, [&] { read_json_file(dir / "none.json"); }, "none.json", "no such file");
  test::write_file(dir / "big.json", std::string(1000, ' '));
  expect_error(
      ErrorCode::bad_file, [&] { read_json_file(dir / "big.json", {.max_bytes = 999}); }, "at most 999 bytes");
}

TEST(JsonReader, ReadsTypedValues) {
  const auto document = parse(R"({"dim": 96, "eps": 1e-6, "type": "t2v", "flag": true, "minus": -3, "none": null})");
  const JsonReader reader(document, "config.json");
  EXPECT_EQ(reader.positive_int("dim"), 96);
  EXPECT_EQ(reader.positive_int("absent", 7), 7);
  EXPECT_EQ(reader.positive_int("none", 8), 8);
  EXPECT_EQ(reader.integer("minus"), -3);
  EXPECT_EQ(reader.number("eps"), 1e-6);
  EXPECT_EQ(reader.positive_number("dim"), 96.0);
  EXPECT_EQ(reader.string("type"), "t2v");
  EXPECT_EQ(reader.string("absent", "x"), "x");
  EXPECT_TRUE(reader.boolean("flag"));
  EXPECT_TRUE(reader.has("dim"));
  EXPECT_FALSE(reader.has("none"));
}

TEST(JsonReader, SaysWhatCameAndWhatWasExpected) {
  const auto document = parse(
      R"({"dim": "x", "zero": 0, "big": 4294967296, "half": 0.5, "list": [1], "huge": 18446744073709551615, "minus": -0.5})");
  const JsonReader reader(document, "config.json");
  const auto refused = [&](auto get, auto... texts) { expect_error(ErrorCode::bad_file, get, texts...); };
  refused([&] { reader.positive_int("dim"); }, R"([config.json] 'dim' is "x", expected a positive integer)");
  // A fallback stands in for what is missing, not for what is wrong.
  refused([&] { reader.positive_int("dim", 1); }, "expected a positive integer");
  refused([&] { reader.positive_int("zero"); }, "'zero' is 0");
  refused([&] { reader.positive_int("big"); }, "'big' is 4294967296");
  refused([&] { reader.positive_int("half"); }, "'half' is 0.5");
  refused([&] { reader.positive_int("list"); }, "'list' is an array");
  refused([&] { reader.positive_int("absent"); }, "'absent' is missing");
  refused([&] { reader.integer("huge"); }, "expected an integer");
  refused([&] { reader.positive_number("minus"); }, "expected a positive number");
  refused([&] { reader.string("zero"); }, "expected a string");
  refused([&] { reader.boolean("zero"); }, "expected true or false");
  refused([&] { reader.number("dim"); }, "expected a number");
  const auto array = parse("[1]");
  refused([&] { JsonReader(array, "config.json"); }, "expected a JSON object");
}

}  // namespace
}  // namespace wan::io
