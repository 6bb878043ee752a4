#include "io/png_reader.h"

#include <cstring>
#include <new>

namespace wan::io {

PngReader::PngReader(std::span<const std::byte> bytes) : bytes_(bytes) {
  png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, [](png_structp, png_const_charp) {});
  if (png) info = png_create_info_struct(png);
  if (!png || !info) {
    png_destroy_read_struct(&png, &info, nullptr);
    throw std::bad_alloc();
  }
  png_set_read_fn(png, this, on_read);
}

PngReader::~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }

void PngReader::on_error(png_structp png, png_const_charp text) {
  auto* self = static_cast<PngReader*>(png_get_error_ptr(png));
  std::strncpy(self->message_.data(), text, self->message_.size() - 1);
  std::longjmp(self->jump_, 1);
}

void PngReader::on_read(png_structp png, png_bytep out, size_t count) {
  auto* self = static_cast<PngReader*>(png_get_io_ptr(png));
  if (self->bytes_.size() < count) png_error(png, "the file ends too early");
  std::memcpy(out, self->bytes_.data(), count);
  self->bytes_ = self->bytes_.subspan(count);
}

}  // namespace wan::io
