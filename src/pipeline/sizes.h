#pragma once
#include <cstdint>

namespace wan::pipeline {

/// A picture's size in pixels.
struct PixelSize {
  int64_t width = 0;
  int64_t height = 0;
  bool operator==(const PixelSize&) const = default;
};

/// The size of an image-to-video clip: about `max_area` pixels in the image's aspect ratio, each side rounded down to
/// a multiple of its step (VAE stride times patch). Upstream: image2video.py, with numpy's float64 arithmetic.
/// Throws invalid_argument if the image is so elongated, or the area so small, that a side would vanish.
PixelSize area_size(PixelSize image, int64_t max_area, PixelSize stride, PixelSize patch);

/// The size of a text-image-to-video clip: of the two ways to round to multiples of `step` within `area` pixels (width
/// first or height first), the one whose aspect ratio is closer to the image's. Upstream: best_output_size().
/// Throws as area_size() does.
PixelSize best_output_size(PixelSize image, PixelSize step, int64_t area);

/// The size to which an image is scaled so that it just covers `target` before its middle is cut out. Rounds half to
/// even, as Python's round(). Upstream: textimage2video.py.
PixelSize cover_size(PixelSize image, PixelSize target);

}  // namespace wan::pipeline
