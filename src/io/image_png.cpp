#include <png.h>

#include <array>
#include <cstring>

#include "io/image_codecs.h"
#include "io/png_reader.h"

namespace wan::io::codec {
namespace {

// Deflate expands by at most 1032, so a file cannot hold more picture than this.
constexpr int64_t max_deflate_ratio = 1032;

/// What the header says, and the palette as RGB (missing entries are black, as in PIL).
struct PngFormat {
  png_uint_32 width = 0, height = 0;
  int depth = 0, colour = 0;
  std::array<uint8_t, 256 * 3> palette{};
};

/// Converts `count` samples of one row to RGB, writing every `step`-th pixel of `out`.
void unpack_row(const PngFormat& f, const uint8_t* row, png_uint_32 count, uint8_t* out, png_uint_32 step) {
  const size_t wide = f.depth == 16 ? 2 : 1;
  for (png_uint_32 i = 0; i < count; ++i, out += size_t{3} * step) {
    if (f.colour == PNG_COLOR_TYPE_PALETTE) {
      std::memcpy(out, &f.palette[size_t{3} * row[i]], 3);
    } else if (f.colour == PNG_COLOR_TYPE_GRAY) {
      const uint8_t grey = wide == 1 ? row[i] : (row[2 * i] != 0 ? uint8_t{255} : row[2 * i + 1]);
      std::memset(out, grey, 3);
    } else if (f.colour == PNG_COLOR_TYPE_GRAY_ALPHA) {
      std::memset(out, row[2 * wide * i], 3);
    } else {
      const size_t channels = f.colour == PNG_COLOR_TYPE_RGB_ALPHA ? 4 : 3;
      for (size_t c = 0; c < 3; ++c) out[c] = row[(channels * i + c) * wide];
    }
  }
}

void read_header(PngReader& reader, PngFormat& f) {
  int interlace = 0, compression = 0, filter = 0;
  png_read_info(reader.png, reader.info);
  png_get_IHDR(reader.png, reader.info, &f.width, &f.height, &f.depth, &f.colour, &interlace, &compression, &filter);
  if (f.colour == PNG_COLOR_TYPE_GRAY && f.depth < 8) png_set_expand_gray_1_2_4_to_8(reader.png);
  if (f.colour == PNG_COLOR_TYPE_PALETTE) {
    png_colorp entries = nullptr;
    int count = 0;
    png_get_PLTE(reader.png, reader.info, &entries, &count);
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      f.palette[3 * i] = entries[i].red;
      f.palette[3 * i + 1] = entries[i].green;
      f.palette[3 * i + 2] = entries[i].blue;
    }
    png_set_packing(reader.png);
  }
  png_read_update_info(reader.png, reader.info);
}

/// Reads all rows; an interlaced picture is spread out pass by pass, so one row is all that is held twice.
void read_pixels(PngReader& reader, const PngFormat& f, std::vector<uint8_t>& row, std::vector<uint8_t>& rgb) {
  const size_t stride = size_t{3} * f.width;
  if (png_get_interlace_type(reader.png, reader.info) == PNG_INTERLACE_NONE) {
    for (png_uint_32 y = 0; y < f.height; ++y) {
      png_read_row(reader.png, row.data(), nullptr);
      unpack_row(f, row.data(), f.width, rgb.data() + y * stride, 1);
    }
  } else {
    for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; ++pass) {
      const png_uint_32 columns = PNG_PASS_COLS(f.width, pass);
      if (columns == 0) continue;
      for (png_uint_32 i = 0; i < PNG_PASS_ROWS(f.height, pass); ++i) {
        const png_uint_32 y = PNG_ROW_FROM_PASS_ROW(i, pass);
        png_read_row(reader.png, row.data(), nullptr);
        unpack_row(f, row.data(), columns, rgb.data() + y * stride + size_t{3} * PNG_PASS_START_COL(pass),
                   png_uint_32{1} << PNG_PASS_COL_SHIFT(pass));
      }
    }
  }
}

}  // namespace

Decoded decode_png(std::span<const std::byte> bytes, const std::string& name) {
  PngReader reader(bytes);
  PngFormat format;
  if (!reader.guarded([&] { read_header(reader, format); })) fail_corrupt(name, "PNG", reader.message());
  check_size(format.width, format.height, name);
  const auto row_bytes = static_cast<int64_t>(png_get_rowbytes(reader.png, reader.info));
  const int64_t bits = int64_t{png_get_channels(reader.png, reader.info)} * format.depth;
  if (int64_t{format.width} * format.height / 8 * bits / max_deflate_ratio > static_cast<int64_t>(bytes.size()))
    fail_corrupt(name, "PNG", "it is too short for its size in pixels");

  Decoded out;
  out.image.width = format.width;
  out.image.height = format.height;
  out.image.rgb.resize(static_cast<size_t>(out.image.width * out.image.height * 3));
  std::vector<uint8_t> row(static_cast<size_t>(row_bytes));
  if (!reader.guarded([&] {
        read_pixels(reader, format, row, out.image.rgb);
        png_read_end(reader.png, reader.info);
      }))
    fail_corrupt(name, "PNG", reader.message());

  png_bytep exif = nullptr;
  png_uint_32 exif_bytes = 0;
  if (png_get_eXIf_1(reader.png, reader.info, &exif_bytes, &exif) != 0)
    out.orientation = exif_orientation(std::as_bytes(std::span(exif, exif_bytes)));
  return out;
}

}  // namespace wan::io::codec
