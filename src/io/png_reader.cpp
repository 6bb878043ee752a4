#include "io/png_reader.h"

#include <cstring>
#include <new>

namespace wan::io {
namespace {

// For what a compressed chunk, such as a colour profile, may unpack to.
constexpr png_alloc_size_t max_unpacked_chunk = 8 << 20;

/// The file up to the first chunk that claims more bytes than follow. libpng would allocate what is claimed before it
/// reads; now it meets the end of the file. Pixel data may be cut, since it is read piece by piece.
std::span<const std::byte> without_false_claims(std::span<const std::byte> bytes) {
  constexpr size_t signature = 8, frame = 12;  // a chunk's length, name and checksum
  size_t at = signature;
  while (at < bytes.size() && bytes.size() - at >= frame) {
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = (length << 8) | std::to_integer<size_t>(bytes[at + i]);
    if (length > bytes.size() - at - frame)
      return std::memcmp(bytes.data() + at + 4, "IDAT", 4) == 0 ? bytes : bytes.first(at);
    at += frame + length;
  }
  return bytes;
}

}  // namespace

PngReader::PngReader(std::span<const std::byte> bytes) : bytes_(without_false_claims(bytes)) {
  png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, [](png_structp, png_const_charp) {});
  if (png) info = png_create_info_struct(png);
  if (!png || !info) {
    png_destroy_read_struct(&png, &info, nullptr);
    throw std::bad_alloc();
  }
  png_set_read_fn(png, this, on_read);
  png_set_chunk_malloc_max(png, max_unpacked_chunk);
}

PngReader::~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }

void PngReader::on_error(png_structp png, png_const_charp text) {
  static_cast<PngReader*>(png_get_error_ptr(png))->leave(text);
}

void PngReader::on_read(png_structp png, png_bytep out, size_t count) {
  auto* self = static_cast<PngReader*>(png_get_io_ptr(png));
  if (self->bytes_.size() < count) png_error(png, "the file ends too early");
  std::memcpy(out, self->bytes_.data(), count);
  self->bytes_ = self->bytes_.subspan(count);
}

}  // namespace wan::io
