#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace wan::io {

/// A decoded still picture, 8-bit RGB.
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> rgb;  ///< [height, width, 3], rows from top to bottom
};

/// The largest picture that is decoded; both are checked before pixels are allocated.
inline constexpr int64_t max_image_pixels = 64'000'000;
inline constexpr int64_t max_image_bytes = 32 << 20;

/// Reads a PNG, JPEG or still WebP file. Pixel values are those of PIL's `Image.open(path).convert("RGB")`: alpha is
/// dropped and not blended, colour profiles and gamma are ignored, 16-bit colour keeps the high byte, 16-bit grey
/// saturates at 255. Unlike there, an EXIF orientation is obeyed.
/// Errors: bad_file if the file cannot be read, is too large, is truncated or corrupt, or is of another format.
Image read_image(const std::filesystem::path& path);

/// The same from memory; `name` stands for the file in messages.
Image decode_image(std::span<const std::byte> bytes, const std::string& name);

}  // namespace wan::io
