#pragma once
#include <vector>

#include "core/context.h"
#include "io/image.h"
#include "pipeline/sizes.h"

/// What a start image becomes before the VAE sees it, and after.
namespace wan::pipeline {

/// The image at the clip's size, [3, h, w] f32 in -1..1: torch's bicubic, the ratio already being the image's
/// (upstream's image2video.py).
std::vector<float> fit_bicubic(const io::Image& image, PixelSize size);

/// The image scaled by Lanczos to cover the clip's size, its middle cut out (upstream's textimage2video.py).
std::vector<float> fit_and_crop(const io::Image& image, PixelSize size);

/// Writes frames [3, t, h, w] f32 of the clip "picture, then zeros", beginning with frame `first`.
void fill_clip(Context& ctx, const std::vector<float>& picture, int64_t first, const Tensor& frames);

/// I2V's condition [4 + z, F, h, w] f32 from the clip's latent z [z, F, h, w]: four mask channels, 1 in the first
/// latent frame (its pixel frame counted four times) and 0 elsewhere, then z.
OwnedTensor image_condition(Context& ctx, const Tensor& z);

}  // namespace wan::pipeline
