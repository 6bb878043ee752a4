#include <webp/decode.h>

#include <cstring>

#include "core/error.h"
#include "io/image_codecs.h"

namespace wan::io::codec {
namespace {

uint32_t little_endian32(std::span<const std::byte> bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = (value << 8) | std::to_integer<uint32_t>(bytes[offset + i]);
  return value;
}

/// The payload of the RIFF chunk `id`, empty if there is none.
std::span<const std::byte> find_chunk(std::span<const std::byte> bytes, const char* id) {
  size_t at = 12;
  while (bytes.size() - at >= 8) {
    const size_t length = little_endian32(bytes, at + 4);
    if (bytes.size() - at - 8 < length) return {};
    if (std::memcmp(bytes.data() + at, id, 4) == 0) return bytes.subspan(at + 8, length);
    const size_t next = at + 8 + length + (length & 1);
    if (next > bytes.size()) return {};
    at = next;
  }
  return {};
}

const char* describe(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA: return "the file ends too early";
    case VP8_STATUS_OUT_OF_MEMORY: return "not enough memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "it uses an unknown feature";
    default: return "its data is not valid";
  }
}

}  // namespace

Decoded decode_webp(std::span<const std::byte> bytes, const std::string& name) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  if (little_endian32(bytes, 4) > bytes.size() - 8) fail_corrupt(name, "WebP", "the file ends too early");

  WebPDecoderConfig config;
  require(WebPInitDecoderConfig(&config) != 0, ErrorCode::unsupported,
          "[image {}] libwebp at run time differs from the one this was built with; install a matching libwebp", name);
  const VP8StatusCode header = WebPGetFeatures(data, bytes.size(), &config.input);
  if (header != VP8_STATUS_OK) fail_corrupt(name, "WebP", describe(header));
  require(config.input.has_animation == 0, ErrorCode::bad_file,
          "[image {}] this WebP file is an animation, expected a still picture; save one frame as PNG", name);
  check_size(config.input.width, config.input.height, name);

  Decoded out;
  out.image.width = config.input.width;
  out.image.height = config.input.height;
  out.image.rgb.resize(static_cast<size_t>(out.image.width * out.image.height * 3));
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = out.image.rgb.data();
  config.output.u.RGBA.stride = config.input.width * 3;
  config.output.u.RGBA.size = out.image.rgb.size();
  const VP8StatusCode status = WebPDecode(data, bytes.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) fail_corrupt(name, "WebP", describe(status));
  out.orientation = exif_orientation(find_chunk(bytes, "EXIF"));
  return out;
}

}  // namespace wan::io::codec
