#pragma once
#include <png.h>

#include <cstddef>
#include <span>

#include "io/longjmp_guard.h"

namespace wan::io {

/// libpng's read state over a block of memory.
class PngReader : public LongjmpGuard {
 public:
  explicit PngReader(std::span<const std::byte> bytes);
  ~PngReader();
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  png_structp png = nullptr;
  png_infop info = nullptr;

 private:
  [[noreturn]] static void on_error(png_structp png, png_const_charp text);
  static void on_read(png_structp png, png_bytep out, size_t count);

  std::span<const std::byte> bytes_;
};

}  // namespace wan::io
