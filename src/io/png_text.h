#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace wan::io {

/// An RGB picture as a PNG file. `text` (UTF-8), unless empty, becomes an iTXt chunk with the keyword "wan", before the
/// pixels. rgb [height, width, 3]. Deterministic for a version of libpng and zlib.
std::vector<std::byte> encode_png(std::span<const uint8_t> rgb, int64_t width, int64_t height, const std::string& text);

/// The text that encode_png() stored, nullopt if there is none. Needs the part of the file before the pixels only.
/// Throws bad_file, naming `name`, if that part is damaged.
std::optional<std::string> read_png_text(std::span<const std::byte> bytes, const std::string& name);

}  // namespace wan::io
