#include "io/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "io/png_text.h"
#include "io/video.h"
#include "support/temp_dir.h"
#include "wan/error.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;

void write_clip(const fs::path& path, const std::string& metadata) {
  VideoParams params;
  params.width = params.height = 32;
  params.fps = {24, 1};
  params.metadata = metadata;
  const auto writer = make_video_writer(path, params);
  for (int t = 0; t < 2; ++t) writer->write(std::vector<uint8_t>(32 * 32 * 3, static_cast<uint8_t>(100 * t)));
  writer->finish();
}

std::vector<std::string> writable_names() {
  const test::TempDir dir;
  std::vector<std::string> names;
  for (const char* name : {"clip.y4m", "frames/", "clip.mp4", "clip.webm"}) {
    try {
      write_clip(dir / name, "");
      names.emplace_back(name);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::unsupported) << e.what();
    }
  }
  return names;
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Metadata, ComesBackFromEveryFormat) {
  std::string large = R"({"prompt": ")";
  for (int i = 0; i < 20'000; ++i) large += "赤いボール ";
  large += R"("})";
  ASSERT_GT(large.size(), 300'000u);
  const std::string awkward =
      "{\"prompt\": \"\\\"Ein Ball hüpft\\\" — 赤い\\n&amp; <b> 'x' ; = \\\\ # 🎈\",\n\t\"seed\": 1}\n";
  for (const std::string& name : writable_names())
    for (const std::string& text : {std::string("{}"), awkward, large}) {
      SCOPED_TRACE(name);
      const test::TempDir dir;
      write_clip(dir / name, text);
      const auto stored = read_metadata(dir / name);
      ASSERT_TRUE(stored.has_value());
      EXPECT_TRUE(*stored == text) << stored->size() << " of " << text.size() << " bytes";
      if (name == "frames/") {
        EXPECT_TRUE(read_metadata(dir / "frames/frame_00001.png") == text);
        fs::remove(dir / "frames/wan.json");
        EXPECT_TRUE(read_metadata(dir / "frames") == text);
      }
    }
}

TEST(Metadata, OffMeansNone) {
  for (const std::string& name : writable_names()) {
    SCOPED_TRACE(name);
    const test::TempDir dir;
    write_clip(dir / name, "{\"secret\": 1}");
    write_clip(dir / name, "");  // not even that of the file it replaces
    EXPECT_EQ(read_metadata(dir / name), std::nullopt);
    for (const auto& entry : fs::recursive_directory_iterator(dir.path())) {
      if (!entry.is_regular_file()) continue;
      EXPECT_THAT(read_text(entry.path()), testing::Not(testing::HasSubstr("secret")));
    }
  }
}

TEST(Metadata, SomeoneElsesCommentIsNone) {
  for (const std::string& name : writable_names()) {
    if (!name.ends_with("mp4") && !name.ends_with("webm")) continue;
    const test::TempDir dir;
    write_clip(dir / name, "made with love");
    EXPECT_EQ(read_metadata(dir / name), std::nullopt);
  }
}

TEST(Metadata, OtherFilesAreRefused) {
  const test::TempDir dir;
  std::ofstream(dir / "notes.mp4") << "dear diary";
  std::ofstream(dir / "empty.mp4");
  fs::create_directory(dir / "folder");
  for (const char* name : {"notes.mp4", "empty.mp4", "folder", "absent.mp4"})
    EXPECT_THROW(read_metadata(dir / name), Error) << name;
  EXPECT_THROW(read_metadata("/dev/null"), Error);
}

/// Whatever the bytes: an Error or an answer.
void expect_no_crash(const fs::path& path, const std::string& bytes) {
  fs::remove(path);  // rewriting in place would wait for the disk
  std::ofstream(path, std::ios::binary) << bytes;
  try {
    read_metadata(path);
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr(path.filename().string()));
  }
}

TEST(Metadata, DamagedFilesDoNotCrash) {
  std::mt19937 random(3);
  for (const std::string& name : writable_names()) {
    SCOPED_TRACE(name);
    const test::TempDir dir;
    write_clip(dir / name, "{\"prompt\": \"" + std::string(2000, 'x') + "\"}");
    const std::string file = name == "frames/" ? name + "frame_00000.png" : name;
    const std::string bytes = read_text(dir / file);
    for (size_t cut = 0; cut < bytes.size(); cut += 1 + cut / 16) expect_no_crash(dir / file, bytes.substr(0, cut));
    for (int i = 0; i < 300; ++i) {
      std::string damaged = bytes;
      for (int k = 0; k < 4; ++k) damaged[random() % damaged.size()] = static_cast<char>(random());
      expect_no_crash(dir / file, damaged);
    }
  }
}

TEST(Metadata, PngTextThatUnpacksToTooMuchIsRefused) {
  // Compressed a thousandfold: 17 MB of text in a small chunk.
  const std::string text(static_cast<size_t>(max_metadata_bytes) + (1 << 20), 'x');
  const std::vector<uint8_t> pixel{1, 2, 3};
  const auto png = encode_png(pixel, 1, 1, text);
  ASSERT_LT(png.size(), 200'000u);
  try {
    EXPECT_EQ(read_png_text(png, "bomb.png"), std::nullopt);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::bad_file);
  }
}

}  // namespace
}  // namespace wan::io
