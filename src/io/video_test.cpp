#include "io/video.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <fstream>
#include <iterator>
#include <limits>
#include <vector>

#include "io/image.h"
#include "io/video_reader.h"
#include "support/temp_dir.h"
#include "wan/error.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Frame `t` of a clip that drifts through all colours, slowly enough for colour at half resolution.
std::vector<uint8_t> picture(int64_t width, int64_t height, int64_t t) {
  std::vector<uint8_t> rgb;
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < 3; ++c)
        rgb.push_back(static_cast<uint8_t>(127.5 + 120 * std::sin(0.03 * static_cast<double>(x + 2 * t) +
                                                                  0.02 * static_cast<double>((c + 1) * y + 100 * c))));
  return rgb;
}

VideoParams params(int64_t width = 64, int64_t height = 48) {
  VideoParams p;
  p.width = width;
  p.height = height;
  p.fps = {16, 1};
  return p;
}

void write_clip(const fs::path& path, const VideoParams& p, int64_t frames) {
  const auto writer = make_video_writer(path, p);
  for (int64_t t = 0; t < frames; ++t) writer->write(picture(p.width, p.height, t));
  writer->finish();
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

double psnr(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  if (a.size() != b.size()) return 0;
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return 10 * std::log10(255 * 255 * static_cast<double>(a.size()) / std::max(sum, 1e-9));
}

/// The formats that this build can write; y4m and PNG frames always.
std::vector<std::string> writable_names() {
  const test::TempDir dir;
  std::vector<std::string> names{"clip.y4m", "frames/"};
  for (const char* name : {"clip.mp4", "clip.webm"}) {
    try {
      check_video_output(dir / name, params());
      names.emplace_back(name);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::unsupported) << e.what();
      EXPECT_THAT(e.what(), HasSubstr("install"));
    }
  }
  return names;
}

bool has_ffmpeg() { return writable_names().size() == 4; }

template <class F>
void expect_error(ErrorCode code, const std::string& part, F action) {
  try {
    action();
    ADD_FAILURE() << "no error; expected one with " << part;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    EXPECT_THAT(e.what(), HasSubstr(part));
  }
}

TEST(VideoFormat, FollowsTheName) {
  const test::TempDir dir;
  fs::create_directory(dir / "old.mp4");
  EXPECT_EQ(video_format("a/clip.mp4"), VideoFormat::mp4);
  EXPECT_EQ(video_format("clip.MP4"), VideoFormat::mp4);
  EXPECT_EQ(video_format("clip.webm"), VideoFormat::webm);
  EXPECT_EQ(video_format("clip.y4m"), VideoFormat::y4m);
  EXPECT_EQ(video_format("frames"), VideoFormat::png_folder);
  EXPECT_EQ(video_format("frames.d/"), VideoFormat::png_folder);
  EXPECT_EQ(video_format(dir / "old.mp4"), VideoFormat::png_folder);
  for (const char* name : {"clip.avi", "clip.png", "clip.mp4.tmp"})
    expect_error(ErrorCode::invalid_argument, ".mp4, .webm or .y4m", [&] { video_format(name); });
}

class Lossy : public testing::TestWithParam<std::tuple<const char*, int, int, double>> {};

TEST_P(Lossy, DecodesToTheSameColoursAndTimes) {
  const auto [name, width, height, bound] = GetParam();
  if (!has_ffmpeg()) GTEST_SKIP() << "built without FFmpeg";
  const test::TempDir dir;
  VideoParams p = params(width, height);
  p.fps = {24000, 1001};
  write_clip(dir / name, p, 9);
  const auto reader = open_video(dir / name);
  const bool even_only = std::string(name) != "clip.y4m";
  EXPECT_EQ(reader->width(), even_only ? width + width % 2 : width);
  EXPECT_EQ(reader->height(), even_only ? height + height % 2 : height);
  // webm counts in milliseconds.
  EXPECT_NEAR(static_cast<double>(reader->fps().num) / static_cast<double>(reader->fps().den), 23.976, 0.03);
  int frames = 0;
  for (std::vector<uint8_t> rgb; reader->read(rgb); ++frames) {
    auto expected = picture(width, height, frames);
    if (reader->width() == width && reader->height() == height) {
      EXPECT_GT(psnr(rgb, expected), bound) << "frame " << frames;
    } else {  // compare the part that was given
      std::vector<uint8_t> part;
      for (int64_t y = 0; y < height; ++y)
        part.insert(part.end(), rgb.begin() + y * reader->width() * 3, rgb.begin() + (y * reader->width() + width) * 3);
      EXPECT_GT(psnr(part, expected), bound) << "frame " << frames;
    }
  }
  EXPECT_EQ(frames, 9);
}

INSTANTIATE_TEST_SUITE_P(Formats, Lossy,
                         testing::Values(std::tuple{"clip.mp4", 256, 192, 40.0}, std::tuple{"clip.mp4", 67, 45, 40.0},
                                         std::tuple{"clip.webm", 256, 192, 40.0}, std::tuple{"clip.webm", 67, 45, 40.0},
                                         std::tuple{"clip.y4m", 256, 192, 46.0}, std::tuple{"clip.y4m", 67, 45, 46.0}));

TEST(VideoWriter, PngFramesAreExact) {
  const test::TempDir dir;
  const VideoParams p = params(33, 17);
  write_clip(dir / "frames/", p, 3);
  EXPECT_THAT(names_in(dir.path()), testing::ElementsAre("frames"));
  EXPECT_THAT(names_in(dir / "frames"), testing::ElementsAre("frame_00000.png", "frame_00001.png", "frame_00002.png"));
  for (int64_t t = 0; t < 3; ++t) {
    const Image image = read_image(dir / fmt::format("frames/frame_{:05}.png", t));
    EXPECT_EQ(image.width, 33);
    EXPECT_TRUE(image.rgb == picture(33, 17, t));
  }
}

TEST(VideoWriter, PngFolderReplacesFramesAndNothingElse) {
  const test::TempDir dir;
  VideoParams p = params(8, 8);
  p.metadata = "{}";
  write_clip(dir / "frames", p, 5);
  p.metadata.clear();
  write_clip(dir / "frames", p, 2);  // no wan.json and no frames of the old clip are left
  EXPECT_THAT(names_in(dir / "frames"), testing::ElementsAre("frame_00000.png", "frame_00001.png"));
  EXPECT_THAT(names_in(dir.path()), testing::ElementsAre("frames"));

  std::ofstream(dir / "frames/thesis.tex") << "years of work";
  expect_error(ErrorCode::invalid_argument, "thesis.tex", [&] { check_video_output(dir / "frames", p); });
  expect_error(ErrorCode::invalid_argument, "thesis.tex", [&] { make_video_writer(dir / "frames", p); });
  EXPECT_EQ(names_in(dir / "frames").size(), 3u);
}

TEST(VideoWriter, SameFramesGiveTheSameBytes) {
  for (const std::string& name : writable_names()) {
    SCOPED_TRACE(name);
    const test::TempDir a, b;
    VideoParams p = params();
    p.metadata = R"({"seed": 5})";
    // Whatever fresh memory holds: this also shows encoders that read what they did not write.
    mallopt(M_PERTURB, 0x55);
    write_clip(a / name, p, 17);
    mallopt(M_PERTURB, 0xaa);
    write_clip(b / name, p, 17);
    mallopt(M_PERTURB, 0);
    const std::string file = name == "frames/" ? name + "frame_00004.png" : name;
    EXPECT_FALSE(read_text(a / file).empty());
    EXPECT_TRUE(read_text(a / file) == read_text(b / file));
  }
}

TEST(VideoWriter, Mp4IndexIsAtTheFront) {
  if (!has_ffmpeg()) GTEST_SKIP() << "built without FFmpeg";
  const test::TempDir dir;
  write_clip(dir / "clip.mp4", params(), 3);
  const std::string bytes = read_text(dir / "clip.mp4");
  ASSERT_NE(bytes.find("moov"), std::string::npos);
  EXPECT_LT(bytes.find("moov"), bytes.find("mdat"));
}

TEST(VideoWriter, AbandonedLeavesTheOldFile) {
  for (const std::string& name : writable_names()) {
    SCOPED_TRACE(name);
    const test::TempDir dir;
    if (name != "frames/") std::ofstream(dir / name) << "old";
    const auto before = names_in(dir.path());
    {
      const auto writer = make_video_writer(dir / name, params());
      writer->write(picture(64, 48, 0));
    }
    EXPECT_EQ(names_in(dir.path()), before);
    if (name != "frames/") {
      EXPECT_EQ(read_text(dir / name), "old");
    }
  }
}

/// Limits the size of files that this process writes, as a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_{};
  void (*handler_)(int);
};

TEST(VideoWriter, FullDiskAtAnyPointIsAnErrorAndLeavesNothing) {
  for (const std::string& name : writable_names()) {
    SCOPED_TRACE(name);
    const test::TempDir dir;
    const VideoParams p = params();
    write_clip(dir / name, p, 4);
    const bool frames = name == "frames/";
    const auto whole = static_cast<int64_t>(fs::file_size(dir / (frames ? name + "frame_00003.png" : name)));
    fs::remove_all(frames ? dir / "frames" : dir / name);
    for (const int64_t limit : {int64_t{0}, int64_t{1}, int64_t{40}, whole / 2, whole - 4000, whole - 1}) {
      if (limit < 0) continue;
      SCOPED_TRACE(limit);
      const FileSizeLimit full(static_cast<rlim_t>(limit));
      expect_error(ErrorCode::bad_file, dir.path().string(), [&] { write_clip(dir / name, p, 4); });
      EXPECT_TRUE(fs::is_empty(dir.path()));
    }
    write_clip(dir / name, p, 4);
  }
}

TEST(VideoWriter, RefusesWhatCannotWorkBeforeWriting) {
  const test::TempDir dir;
  std::ofstream(dir / "file") << "x";
  for (const std::string& name : writable_names()) {
    SCOPED_TRACE(name);
    const auto refused = [&](const fs::path& path, const VideoParams& p, const std::string& part) {
      expect_error(ErrorCode::invalid_argument, part, [&] { check_video_output(path, p); });
      expect_error(ErrorCode::invalid_argument, part, [&] { make_video_writer(path, p); });
    };
    refused(dir / "absent" / name, params(), "absent");
    refused(dir / "file" / name, params(), "file");
    refused(dir / name, params(0, 48), "0 x 48");
    refused(dir / name, params(64, 20000), "64 x 20000");
    VideoParams p = params();
    p.fps = {0, 1};
    refused(dir / name, p, "0/1 frames");
    p.fps = {1'000'000, 1};
    refused(dir / name, p, "1000000/1 frames");
    p = params();
    p.metadata = std::string("a\0b", 3);
    refused(dir / name, p, "NUL");

    const auto writer = make_video_writer(dir / name, params());
    expect_error(ErrorCode::invalid_argument, "48 x 64 x 3", [&] { writer->write(picture(64, 47, 0)); });
    expect_error(ErrorCode::invalid_argument, "no frames", [&] { writer->finish(); });
  }
  expect_error(ErrorCode::invalid_argument, "empty", [] { check_video_output("", params()); });
  expect_error(ErrorCode::invalid_argument, "no folder", [&] { check_video_output(dir / "file", params()); });
  EXPECT_THAT(names_in(dir.path()), testing::ElementsAre("file"));
}

TEST(VideoWriter, OddNames) {
  const test::TempDir dir;
  for (const std::string& name : writable_names()) {
    if (name == "frames/") continue;
    const fs::path path = dir / ("http:%d 日本 'x' " + name);
    write_clip(path, params(), 1);
    EXPECT_TRUE(fs::is_regular_file(path));
  }
}

TEST(VideoFrame, RoundsAsUpstreamDoes) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  // Two frames of two pixels: [3, 2, 2].
  const std::vector<float> video{0, 0.999f, 1, -1, 1.5f, -7, 0.5f, -0.5f, nan, inf, -inf, 0.0039f};
  std::vector<uint8_t> rgb(6);
  frame_to_rgb8(video, 2, 0, rgb);
  EXPECT_EQ(rgb, (std::vector<uint8_t>{127, 255, 0, 254, 0, 255}));
  frame_to_rgb8(video, 2, 1, rgb);
  EXPECT_EQ(rgb, (std::vector<uint8_t>{255, 191, 0, 0, 63, 127}));
  EXPECT_THROW(frame_to_rgb8(video, 2, 2, rgb), Error);
  EXPECT_THROW(frame_to_rgb8(video, 3, 0, rgb), Error);

  // The 8-bit values themselves: numpy's float32 arithmetic truncates 1 to 95 to the value below.
  std::vector<float> ramp;
  for (int c = 0; c < 3; ++c)
    for (int i = 0; i < 256; ++i) ramp.push_back(static_cast<float>(i / 255.0 * 2 - 1));
  rgb.resize(256 * 3);
  frame_to_rgb8(ramp, 1, 0, rgb);
  for (int i = 0; i < 256; ++i) EXPECT_EQ(rgb[static_cast<size_t>(i) * 3], i >= 1 && i <= 95 ? i - 1 : i);
}

}  // namespace
}  // namespace wan::io
