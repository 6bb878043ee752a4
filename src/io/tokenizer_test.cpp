#include "io/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "io/mapped_file.h"
#include "io/safetensors.h"
#include "io/text_clean.h"
#include "support/temp_dir.h"
#include "wan/error.h"

namespace wan::io {
namespace {

using testing::HasSubstr;

const std::filesystem::path kRoot = WAN_SOURCE_DIR;
const std::filesystem::path kGolden = kRoot / "tests/golden/tiny";
const std::filesystem::path kSpiece = kGolden / "Wan2.2-T2V-A14B/google/umt5-xxl/spiece.model";

nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  return file->read(0, file->size());
}

void write(const std::filesystem::path& path, std::string_view content) {
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

template <class Work>
std::string message_of(ErrorCode code, Work work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(Tokenizer, EqualsTheFastTokenizerOnAwkwardText) {
  const Tokenizer tokenizer = Tokenizer::load(kSpiece);
  EXPECT_EQ(tokenizer.end_id(), 1);
  EXPECT_EQ(tokenizer.vocabulary_size(), 698);
  for (const nlohmann::json& c : read_json(kRoot / "tests/fixtures/text/clean.json")) {
    EXPECT_EQ(tokenizer.encode(c["clean"].get<std::string>()), c["ids"].get<std::vector<int32_t>>()) << c["clean"];
  }
}

TEST(Tokenizer, FollowsTheCheckpointsTokenizerJson) {
  const test::TempDir folder;
  std::filesystem::copy_file(kSpiece, folder.path() / "spiece.model");
  std::filesystem::copy_file(kRoot / "tests/fixtures/text/unknown/tokenizer.json", folder.path() / "tokenizer.json");
  const Tokenizer tokenizer = Tokenizer::load(folder.path() / "spiece.model");
  EXPECT_EQ(tokenizer.vocabulary_size(), 898);
  for (const nlohmann::json& c : read_json(kRoot / "tests/fixtures/text/unknown/cases.json")) {
    EXPECT_EQ(tokenizer.encode(c["clean"].get<std::string>()), c["ids"].get<std::vector<int32_t>>()) << c["clean"];
  }
}

TEST(Tokenizer, EqualsTheGoldenTokens) {
  const Tokenizer tokenizer = Tokenizer::load(kSpiece);
  const nlohmann::json tokens = read_json(kGolden / "cases.json")["tokens"];
  ASSERT_FALSE(tokens.empty());
  for (const auto& [text, ids] : tokens.items()) {
    EXPECT_EQ(tokenizer.encode(clean_prompt(text), 64), ids.get<std::vector<int32_t>>()) << text;
  }
}

TEST(Tokenizer, EqualsTheGoldenIdsOfEveryCase) {
  const nlohmann::json cases = read_json(kGolden / "cases.json");
  const SafetensorsFile expected = open_safetensors(kGolden / "expected.safetensors");
  int checked = 0;
  for (const auto& [name, c] : cases.items()) {
    if (!c.is_object() || !c.contains("prompt")) continue;
    const std::string model = c["task"].get<std::string>();
    const std::string folder = model == "t2v-A14B"   ? "Wan2.2-T2V-A14B"
                               : model == "i2v-A14B" ? "Wan2.2-I2V-A14B"
                                                     : "Wan2.2-TI2V-5B";
    const Tokenizer tokenizer = Tokenizer::load(kGolden / folder / "google/umt5-xxl/spiece.model");
    for (const char* which : {"cond", "uncond"}) {
      const std::string prompt = c[which == std::string("cond") ? "prompt" : "negative"];
      const TensorEntry& entry = expected.tensors.at(name + ".ids." + which);
      std::vector<int32_t> ids(static_cast<std::size_t>(entry.numel()));
      read_bytes(entry, std::as_writable_bytes(std::span(ids)));
      EXPECT_EQ(tokenizer.encode(clean_prompt(prompt)), ids) << name << " " << which;
      ++checked;
    }
  }
  EXPECT_EQ(checked, 10);
}

TEST(Tokenizer, CutsToTheLimitAndKeepsTheEnd) {
  const Tokenizer tokenizer = Tokenizer::load(kSpiece);
  const std::vector<int32_t> all = tokenizer.encode(std::string(1000, 'x'));
  ASSERT_EQ(all.size(), 512U);
  EXPECT_EQ(all.back(), 1);
  EXPECT_EQ(all[510], 299);
  EXPECT_EQ(tokenizer.encode("x x x", 1), std::vector<int32_t>{1});
  EXPECT_THAT(message_of(ErrorCode::invalid_argument, [&] { tokenizer.encode("x", 0); }), HasSubstr("max_tokens is 0"));
  EXPECT_THAT(message_of(ErrorCode::invalid_argument, [&] { tokenizer.encode("x\xFF"); }), HasSubstr("byte 1"));
}

TEST(Tokenizer, RefusesFilesThatAreNoModel) {
  const test::TempDir folder;
  const std::filesystem::path path = folder.path() / "spiece.model";
  const auto load = [&] { Tokenizer::load(path); };
  EXPECT_THAT(message_of(ErrorCode::bad_file, load), HasSubstr("no such file"));
  write(path, "");
  EXPECT_THAT(message_of(ErrorCode::bad_file, load), HasSubstr("holds no pieces"));
  write(path, "<html>not found</html>");
  EXPECT_THAT(message_of(ErrorCode::bad_file, load), HasSubstr("not a SentencePiece model or is damaged"));
  std::ofstream(path).close();
  std::filesystem::resize_file(path, (64 << 20) + 1);
  EXPECT_THAT(message_of(ErrorCode::bad_file, load), HasSubstr("at most 67108864 are accepted"));
  std::filesystem::remove(path);
  std::filesystem::copy_file(kSpiece, path);
  write(folder.path() / "tokenizer.json", "{}");
  EXPECT_THAT(message_of(ErrorCode::bad_file, load), HasSubstr("lacks 'model' or the list 'added_tokens'"));
  write(folder.path() / "tokenizer.json", R"({"model": {"type": "BPE"}, "added_tokens": []})");
  EXPECT_THAT(message_of(ErrorCode::unsupported, load), HasSubstr("the tokenizer is a BPE"));
  write(folder.path() / "tokenizer.json", R"({"model": {"type": "Unigram"}, "added_tokens": []})");
  EXPECT_THAT(message_of(ErrorCode::bad_file, load), HasSubstr("no token </s>"));
}

// Whatever the damage: an Error or a working tokenizer, never a crash (run with sanitizers).
TEST(Tokenizer, SurvivesDamagedModels) {
  const std::vector<std::byte> sound = read_file(kSpiece);
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<std::byte> bytes = sound;
    if (round % 3 == 0) bytes.resize(random() % bytes.size());
    // Every other time only the first 4 KiB, where the pieces are; else anywhere, mostly the normalisation table.
    const std::size_t range = round % 2 == 0 ? std::min<std::size_t>(bytes.size(), 4096) : bytes.size();
    for (std::size_t i = random() % 200 + 1; i > 0 && range > 0; --i)
      bytes[random() % range] = static_cast<std::byte>(random());
    try {
      Tokenizer::from_bytes(bytes, "damaged").encode("a cat ① ﬁ é 日本 ...\u2122\u0301");
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("[damaged]"));
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(Tokenizer, TakesLinearTime) {
  const Tokenizer tokenizer = Tokenizer::load(kSpiece);
  for (const std::string_view unit : {"<", "<extra_id_0>", "x", "\xF0\x9F\x90\xB1", "\xCC\x81", " "}) {
    std::string text;
    while (text.size() < kMaxPromptBytes) text += unit;
    const auto start = std::chrono::steady_clock::now();
    tokenizer.encode(text);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5)) << unit;
  }
}

}  // namespace
}  // namespace wan::io
