#include "io/image.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <string_view>
#include <system_error>

#include "core/error.h"
#include "io/image_codecs.h"

namespace wan::io {
namespace {

bool starts_with(std::span<const std::byte> bytes, std::string_view magic, size_t offset = 0) {
  return bytes.size() >= offset + magic.size() && std::memcmp(bytes.data() + offset, magic.data(), magic.size()) == 0;
}

void check_file_bytes(uintmax_t bytes, const std::string& name) {
  require(bytes <= static_cast<uintmax_t>(max_image_bytes), ErrorCode::bad_file,
          "[image {}] the file has {} bytes, at most {} (32 MB) are read; make it smaller", name, bytes,
          max_image_bytes);
}

}  // namespace

namespace codec {

void check_size(int64_t width, int64_t height, const std::string& name) {
  require(width > 0 && height > 0, ErrorCode::bad_file, "[image {}] is {} x {} pixels; expected at least one pixel",
          name, width, height);
  require(width <= max_image_pixels / height, ErrorCode::bad_file,
          "[image {}] is {} x {} pixels, at most {} million are read; make it smaller", name, width, height,
          max_image_pixels / 1'000'000);
}

void fail_corrupt(const std::string& name, const char* format, const std::string& reason) {
  fail(ErrorCode::bad_file, "[image {}] this {} file is damaged or incomplete ({}); save or download it again", name,
       format, reason);
}

}  // namespace codec

Image decode_image(std::span<const std::byte> bytes, const std::string& name) {
  using namespace std::string_view_literals;
  check_file_bytes(bytes.size(), name);
  require(!bytes.empty(), ErrorCode::bad_file, "[image {}] the file is empty", name);
  codec::Decoded decoded;
  if (starts_with(bytes, "\x89PNG\r\n\x1a\n"sv)) {
    decoded = codec::decode_png(bytes, name);
  } else if (starts_with(bytes, "\xff\xd8"sv)) {
    decoded = codec::decode_jpeg(bytes, name);
  } else if (starts_with(bytes, "RIFF"sv) && starts_with(bytes, "WEBP"sv, 8)) {
    decoded = codec::decode_webp(bytes, name);
  } else {
    fail(ErrorCode::bad_file, "[image {}] this is not a PNG, JPEG or WebP file; convert it to one of these", name);
  }
  return codec::apply_orientation(std::move(decoded.image), decoded.orientation);
}

Image read_image(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  require(std::filesystem::exists(status), ErrorCode::bad_file, "[image {}] there is no such file; check the path",
          name);
  require(std::filesystem::is_regular_file(status), ErrorCode::bad_file,
          "[image {}] this is not a regular file; expected a PNG, JPEG or WebP file", name);
  const uintmax_t size = std::filesystem::file_size(path, error);
  require(!error, ErrorCode::bad_file, "[image {}] cannot be read: {}", name, error.message());
  check_file_bytes(size, name);

  std::ifstream file(path, std::ios::binary);
  std::vector<std::byte> bytes(static_cast<size_t>(size));
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  require(file.good() && file.gcount() == static_cast<std::streamsize>(bytes.size()), ErrorCode::bad_file,
          "[image {}] cannot be read; check its permissions", name);
  return decode_image(bytes, name);
}

}  // namespace wan::io
