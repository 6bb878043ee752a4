#pragma once
#include <png.h>

#include <array>
#include <csetjmp>
#include <cstddef>
#include <span>

namespace wan::io {

/// libpng's read state over a block of memory. libpng reports errors by longjmp: guarded() is the only place that
/// catches it, and what runs inside must own nothing that has a destructor.
class PngReader {
 public:
  explicit PngReader(std::span<const std::byte> bytes);
  ~PngReader();
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  /// Runs `step`; false if libpng failed, and then message() says why.
  template <class F>
  bool guarded(F step) {
    if (setjmp(jump_)) return false;
    step();
    return true;
  }
  const char* message() const { return message_.data(); }

  png_structp png = nullptr;
  png_infop info = nullptr;

 private:
  [[noreturn]] static void on_error(png_structp png, png_const_charp text);
  static void on_read(png_structp png, png_bytep out, size_t count);

  std::span<const std::byte> bytes_;
  std::jmp_buf jump_;
  std::array<char, 160> message_{};
};

}  // namespace wan::io
