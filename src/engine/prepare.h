#pragma once
#include "engine/models_on_disk.h"
#include "io/image.h"
#include "io/video.h"
#include "wan/wan.h"

namespace wan::engine {

/// A request with every field decided, and what was read on the way.
struct PreparedRequest {
  Request request;
  std::string clean_prompt, clean_negative;
  std::optional<io::Image> image;  ///< as in the file
  int64_t width = 0, height = 0;   ///< of the video; with an image its ratio decides
  int64_t frames = 0;
  io::Rational fps;
  Shape latent;  ///< [z, F, h, w]
};

/// Fills in defaults and checks all that needs no weights: ranges, sizes, prompt, image, files, output.
/// Throws Error(invalid_argument) naming the nearest valid value, or Error(bad_file) for files that cannot be used.
PreparedRequest prepare(const ModelsOnDisk& models, const Request& request);

}  // namespace wan::engine
