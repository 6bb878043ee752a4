#include "io/png_text.h"

#include <png.h>

#include <cstring>
#include <new>

#include "core/error.h"
#include "io/png_reader.h"
#include "io/video.h"

namespace wan::io {
namespace {

constexpr char keyword[] = "wan";
// Twice as fast as zlib's default for a few per cent in size.
constexpr int compression_level = 4;
constexpr size_t compress_text_from = 1024;

/// libpng's write state into a vector.
class PngWriter : public LongjmpGuard {
 public:
  PngWriter() {
    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, this, on_error, [](png_structp, png_const_charp) {});
    if (png) info = png_create_info_struct(png);
    if (!png || !info) {
      png_destroy_write_struct(&png, &info);
      throw std::bad_alloc();
    }
    png_set_write_fn(png, this, on_write, [](png_structp) {});
  }
  ~PngWriter() { png_destroy_write_struct(&png, &info); }
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;

  png_structp png = nullptr;
  png_infop info = nullptr;
  std::vector<std::byte> bytes;

 private:
  [[noreturn]] static void on_error(png_structp p, png_const_charp text) {
    static_cast<PngWriter*>(png_get_error_ptr(p))->leave(text);
  }
  static void on_write(png_structp p, png_bytep data, size_t count) {
    auto* self = static_cast<PngWriter*>(png_get_io_ptr(p));
    const auto* begin = reinterpret_cast<const std::byte*>(data);
    bool stored = true;
    try {
      self->bytes.insert(self->bytes.end(), begin, begin + count);
    } catch (const std::bad_alloc&) {
      stored = false;  // leave the handler before jumping
    }
    if (!stored) png_error(p, "not enough memory");
  }
};

}  // namespace

std::vector<std::byte> encode_png(std::span<const uint8_t> rgb, int64_t width, int64_t height,
                                  const std::string& text) {
  require(width > 0 && height > 0 && width <= max_video_side && height <= max_video_side &&
              static_cast<int64_t>(rgb.size()) == width * height * 3,
          ErrorCode::invalid_argument, "[png] {} bytes do not make a picture of {} x {} x 3", rgb.size(), height,
          width);
  PngWriter writer;
  // libpng only reads the text, but its struct has no const.
  std::string key = keyword, value = text;
  const bool written = writer.guarded([&] {
    png_set_IHDR(writer.png, writer.info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(writer.png, compression_level);
    if (!value.empty()) {
      png_text chunk{};
      chunk.compression = value.size() < compress_text_from ? PNG_ITXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_zTXt;
      chunk.key = key.data();
      chunk.text = value.data();
      chunk.itxt_length = value.size();
      png_set_text(writer.png, writer.info, &chunk, 1);
    }
    png_write_info(writer.png, writer.info);
    for (int64_t y = 0; y < height; ++y) png_write_row(writer.png, rgb.data() + y * width * 3);
    png_write_end(writer.png, nullptr);
  });
  if (!written) fail(ErrorCode::out_of_memory, "[png] a frame could not be compressed: {}", writer.message());
  return std::move(writer.bytes);
}

std::optional<std::string> read_png_text(std::span<const std::byte> bytes, const std::string& name) {
  PngReader reader(bytes);
  const bool read = reader.guarded([&] {
    png_set_chunk_malloc_max(reader.png, static_cast<png_alloc_size_t>(max_metadata_bytes + 1024));
    png_read_info(reader.png, reader.info);
  });
  if (!read) fail(ErrorCode::bad_file, "[{}] this PNG file is damaged ({})", name, reader.message());
  png_textp texts = nullptr;
  int count = 0;
  png_get_text(reader.png, reader.info, &texts, &count);
  for (const png_text& chunk : std::span(texts, static_cast<size_t>(count)))
    if (std::strcmp(chunk.key, keyword) == 0)
      return std::string(chunk.text, chunk.compression > 0 ? chunk.itxt_length : chunk.text_length);
  return std::nullopt;
}

}  // namespace wan::io
