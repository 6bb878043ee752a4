#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "io/image.h"

namespace wan::io {

/// The picture as the VAE takes it: [3, height, width] f32 in -1..1. torchvision's to_tensor(), then (v - 0.5) / 0.5,
/// each step rounded to float32.
std::vector<float> to_planes(const Image& image);

/// torch.nn.functional.interpolate(mode="bicubic", align_corners=False, antialias=False) on the CPU: Keys' kernel with
/// a = -0.75, half-pixel centres, taps clamped to the border, float32 throughout.
/// src [3, height, width] -> [3, new_height, new_width]
std::vector<float> resize_bicubic(std::span<const float> src, int64_t height, int64_t width, int64_t new_height,
                                  int64_t new_width);

/// PIL's Image.resize(size, Image.LANCZOS) of an RGB picture, to the last bit: coefficients in 22-bit fixed point, the
/// horizontal pass first and rounded to 8 bits, then the vertical one. (Pillow 13 swaps the passes where that is
/// cheaper, which moves some values by one; all releases before it, and upstream's results with them, do not.)
Image resize_lanczos(const Image& image, int64_t new_width, int64_t new_height);

/// The middle `width` x `height` pixels; an odd remainder leaves one pixel more on the right and at the bottom.
Image crop_centre(const Image& image, int64_t width, int64_t height);

}  // namespace wan::io
