// Any bytes as a picture: a result within the limits, or an Error.
#include <cstdint>
#include <cstdlib>

#include "io/image.h"
#include "wan/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const wan::io::Image image = wan::io::decode_image(std::as_bytes(std::span(data, size)), "fuzz");
    if (image.width <= 0 || image.height <= 0 || image.width > wan::io::max_image_pixels / image.height ||
        static_cast<int64_t>(image.rgb.size()) != image.width * image.height * 3)
      std::abort();
  } catch (const wan::Error&) {
  }
  return 0;
}
