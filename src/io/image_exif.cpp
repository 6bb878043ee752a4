#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "io/image_codecs.h"

namespace wan::io::codec {
namespace {

/// Bounded reads from a TIFF structure in either byte order.
struct TiffReader {
  std::span<const std::byte> data;
  bool big_endian = false;

  std::optional<uint32_t> read(size_t offset, size_t count) const {
    if (offset > data.size() || data.size() - offset < count) return std::nullopt;
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) {
      const size_t at = big_endian ? offset + i : offset + count - 1 - i;
      value = (value << 8) | std::to_integer<uint32_t>(data[at]);
    }
    return value;
  }
};

constexpr uint32_t tag_orientation = 0x0112;
constexpr uint32_t type_short = 3;
constexpr size_t entry_bytes = 12;

}  // namespace

int exif_orientation(std::span<const std::byte> exif) {
  constexpr char prefix[6] = {'E', 'x', 'i', 'f', 0, 0};
  if (exif.size() >= sizeof prefix && std::memcmp(exif.data(), prefix, sizeof prefix) == 0)
    exif = exif.subspan(sizeof prefix);
  if (exif.size() < 8) return 1;

  TiffReader tiff{exif};
  if (std::memcmp(exif.data(), "MM\0*", 4) == 0)
    tiff.big_endian = true;
  else if (std::memcmp(exif.data(), "II*\0", 4) != 0)
    return 1;

  const size_t directory = *tiff.read(4, 4);
  const auto entries = tiff.read(directory, 2);
  for (uint32_t i = 0; entries && i < *entries; ++i) {
    const size_t entry = directory + 2 + i * entry_bytes;
    const auto tag = tiff.read(entry, 2), type = tiff.read(entry + 2, 2), value = tiff.read(entry + 8, 2);
    if (!tag || !type || !value) return 1;
    if (*tag == tag_orientation)
      return *type == type_short && *value >= 1 && *value <= 8 ? static_cast<int>(*value) : 1;
  }
  return 1;
}

Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  // Each orientation is an optional transposition followed by mirroring the source's columns and rows.
  const bool transpose = orientation >= 5;
  const bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;

  Image out;
  out.width = transpose ? image.height : image.width;
  out.height = transpose ? image.width : image.height;
  out.rgb.resize(image.rgb.size());
  for (int64_t y = 0; y < out.height; ++y)
    for (int64_t x = 0; x < out.width; ++x) {
      int64_t sx = transpose ? y : x, sy = transpose ? x : y;
      if (mirror_x) sx = image.width - 1 - sx;
      if (mirror_y) sy = image.height - 1 - sy;
      std::memcpy(&out.rgb[static_cast<size_t>((y * out.width + x) * 3)],
                  &image.rgb[static_cast<size_t>((sy * image.width + sx) * 3)], 3);
    }
  return out;
}

}  // namespace wan::io::codec
