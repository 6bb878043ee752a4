#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "io/image.h"

/// The decoders behind decode_image(); nothing outside the image files needs them.
namespace wan::io::codec {

/// A picture as stored, and the EXIF orientation (1..8) that it asks for.
struct Decoded {
  Image image;
  int orientation = 1;
};

Decoded decode_png(std::span<const std::byte> bytes, const std::string& name);
Decoded decode_jpeg(std::span<const std::byte> bytes, const std::string& name);
Decoded decode_webp(std::span<const std::byte> bytes, const std::string& name);

/// Refuses an empty picture and one of more than max_image_pixels.
void check_size(int64_t width, int64_t height, const std::string& name);

/// Throws bad_file with a decoder's own words.
[[noreturn]] void fail_corrupt(const std::string& name, const char* format, const std::string& reason);

/// The orientation tag in the first directory of an EXIF block (TIFF structure, with or without the "Exif\0\0" that
/// JPEG puts before it). 1, "as stored", for anything absent, malformed or out of range.
int exif_orientation(std::span<const std::byte> exif);

/// Turns and mirrors a picture so that orientation `o` becomes upright.
Image apply_orientation(Image image, int orientation);

}  // namespace wan::io::codec
