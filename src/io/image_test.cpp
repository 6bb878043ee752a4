#include "io/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>

#include "io/image_codecs.h"
#include "wan/error.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;
const fs::path fixtures = fs::path(WAN_SOURCE_DIR) / "tests/fixtures/image";

std::vector<std::byte> read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Image read_ppm(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  Image image;
  int maximum = 0;
  file >> magic >> image.width >> image.height >> maximum;
  file.get();
  image.rgb.resize(static_cast<size_t>(image.width * image.height * 3));
  file.read(reinterpret_cast<char*>(image.rgb.data()), static_cast<std::streamsize>(image.rgb.size()));
  EXPECT_TRUE(file.good() && magic == "P6" && maximum == 255) << path;
  return image;
}

/// Peak resident memory of this process in KiB.
long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

std::string message_for(std::span<const std::byte> bytes) {
  try {
    decode_image(bytes, "some/file");
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::bad_file);
    EXPECT_THAT(e.what(), testing::HasSubstr("some/file"));
    return e.what();
  }
  return "";
}

TEST(Image, EqualsPilForEveryKind) {
  int cases = 0;
  for (const auto& entry : fs::directory_iterator(fixtures)) {
    if (entry.path().extension() != ".ppm") continue;
    SCOPED_TRACE(entry.path());
    const Image expected = read_ppm(entry.path());
    const Image actual = read_image(fixtures / entry.path().stem());
    EXPECT_EQ(actual.width, expected.width);
    EXPECT_EQ(actual.height, expected.height);
    EXPECT_TRUE(actual.rgb == expected.rgb);
    ++cases;
  }
  EXPECT_EQ(cases, 58);
}

TEST(Image, EveryTruncationIsAnError) {
  for (const char* name : {"rgba16_adam7.png", "palette4.png", "exif6.png", "ycc420.jpg", "progressive.jpg", "cmyk.jpg",
                           "exif3.jpg", "lossy.webp", "lossless_alpha.webp", "exif8.webp"}) {
    SCOPED_TRACE(name);
    const auto bytes = read_bytes(fixtures / name);
    for (size_t n = 0; n < bytes.size(); ++n)
      ASSERT_NE(message_for(std::span(bytes).first(n)), "") << "cut to " << n << " of " << bytes.size();
  }
}

TEST(Image, DamageInPixelDataIsReported) {
  auto png = read_bytes(fixtures / "rgb8.png");
  png[png.size() / 2] ^= std::byte{0x55};
  EXPECT_THAT(message_for(png), testing::HasSubstr("damaged"));
  auto jpeg = read_bytes(fixtures / "restart.jpg");
  jpeg.erase(jpeg.end() - 120, jpeg.end() - 2);  // leaves the end marker
  EXPECT_THAT(message_for(jpeg), testing::HasSubstr("damaged"));
}

TEST(Image, BombsAreRefusedBeforeAllocating) {
  const long before = peak_kib();
  const auto bomb = read_bytes(fixtures / "bomb_50000x50000.png");
  EXPECT_THAT(message_for(bomb), testing::HasSubstr("50000 x 50000 pixels, at most 64 million"));
  const auto liar = read_bytes(fixtures / "liar_7900x7900.png");
  EXPECT_THAT(message_for(liar), testing::HasSubstr("too short for its size"));

  auto jpeg = read_bytes(fixtures / "ycc444.jpg");
  const std::array start_of_frame{std::byte{0xff}, std::byte{0xc0}};
  const auto frame = std::search(jpeg.begin(), jpeg.end(), start_of_frame.begin(), start_of_frame.end());
  ASSERT_NE(frame, jpeg.end());
  std::fill(frame + 5, frame + 9, std::byte{0xea});  // 60138 x 60138
  EXPECT_THAT(message_for(jpeg), testing::HasSubstr("60138 x 60138 pixels"));
  std::fill(frame + 5, frame + 9, std::byte{0x1e});  // 7710 x 7710
  EXPECT_THAT(message_for(jpeg), testing::HasSubstr("too short for its size"));
  // An EXIF chunk that claims 2 GB, in place of the pixels.
  auto exif = read_bytes(fixtures / "rgb8.png");
  constexpr unsigned char claim[] = {0x7f, 0xff, 0xff, 0xf0, 'e', 'X', 'I', 'f'};
  std::copy_n(reinterpret_cast<const std::byte*>(claim), sizeof claim, exif.begin() + 33);
  EXPECT_THAT(message_for(exif), testing::HasSubstr("damaged"));
  EXPECT_LT(peak_kib() - before, 8 << 10);
}

TEST(Image, OtherInputIsRefusedWithWhatIsExpected) {
  EXPECT_THAT(message_for(read_bytes(fixtures / "other.bmp")), testing::HasSubstr("PNG, JPEG or WebP"));
  EXPECT_THAT(message_for(read_bytes(fixtures / "animated.webp")), testing::HasSubstr("animation"));
  EXPECT_THAT(message_for({}), testing::HasSubstr("empty"));
  EXPECT_THAT(message_for(std::vector<std::byte>(max_image_bytes + 1)), testing::HasSubstr("at most 33554432"));
  EXPECT_THROW(read_image(fixtures / "absent.png"), Error);
  EXPECT_THROW(read_image(fixtures), Error);
  EXPECT_THROW(read_image("/dev/zero"), Error);
}

TEST(Image, MalformedExifMeansUpright) {
  EXPECT_EQ(codec::exif_orientation({}), 1);
  // Little endian: one entry, orientation, SHORT, count 1, value 6.
  const unsigned char tiff[] = {'I', 'I', '*', 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0};
  const auto good = std::as_bytes(std::span(tiff));
  EXPECT_EQ(codec::exif_orientation(good), 6);
  for (size_t n = 0; n < 20; ++n) EXPECT_EQ(codec::exif_orientation(good.first(n)), 1) << n;
  for (const auto& [at, value] : {std::pair{18, 9}, std::pair{18, 0}, std::pair{12, 4}, std::pair{7, 0x80}}) {
    std::vector<unsigned char> bad(std::begin(tiff), std::end(tiff));
    bad[static_cast<size_t>(at)] = static_cast<unsigned char>(value);
    EXPECT_EQ(codec::exif_orientation(std::as_bytes(std::span(bad))), 1);
  }
}

}  // namespace
}  // namespace wan::io
