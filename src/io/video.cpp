#include "io/video.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <system_error>

#include "core/error.h"
#include "io/atomic_file.h"
#include "io/video_writers.h"

namespace wan::io {

namespace fs = std::filesystem;

namespace writers {

void check_frame(std::span<const uint8_t> rgb, const VideoParams& params, const fs::path& path) {
  require(static_cast<int64_t>(rgb.size()) == params.width * params.height * 3, ErrorCode::invalid_argument,
          "[{}] a frame of {} bytes came, {} x {} x 3 were expected", path.string(), rgb.size(), params.height,
          params.width);
}

void check_not_empty(int64_t frames, const fs::path& path) {
  require(frames > 0, ErrorCode::invalid_argument, "[{}] the video has no frames; expected at least one",
          path.string());
}

}  // namespace writers

VideoFormat video_format(const fs::path& path) {
  std::error_code error;
  if (!path.has_filename() || fs::is_directory(path, error)) return VideoFormat::png_folder;
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension.empty()) return VideoFormat::png_folder;
  if (extension == ".mp4") return VideoFormat::mp4;
  if (extension == ".webm") return VideoFormat::webm;
  if (extension == ".y4m") return VideoFormat::y4m;
  fail(ErrorCode::invalid_argument,
       "[{}] a video cannot be written as {}; expected a name ending in .mp4, .webm or .y4m, or in / for a folder of "
       "PNG frames",
       path.string(), extension);
}

void check_video_output(const fs::path& path, const VideoParams& params) {
  require(!path.empty(), ErrorCode::invalid_argument, "[output] the path of the video is empty; give a file name");
  const VideoFormat format = video_format(path);
  require(params.width > 0 && params.height > 0 && params.width <= max_video_side && params.height <= max_video_side,
          ErrorCode::invalid_argument, "[{}] frames of {} x {} pixels; expected 1 to {} each way", path.string(),
          params.width, params.height, max_video_side);
  constexpr int64_t largest = std::numeric_limits<int32_t>::max();
  const Rational& fps = params.fps;
  require(fps.num > 0 && fps.den > 0 && fps.num <= largest && fps.den <= largest && fps.num / fps.den <= 1000,
          ErrorCode::invalid_argument, "[{}] {}/{} frames per second; expected more than 0 and at most 1000",
          path.string(), fps.num, fps.den);
  require(static_cast<int64_t>(params.metadata.size()) <= max_metadata_bytes &&
              params.metadata.find('\0') == std::string::npos,
          ErrorCode::invalid_argument, "[{}] metadata of {} bytes; expected text without NUL of at most {} bytes",
          path.string(), params.metadata.size(), max_metadata_bytes);

  if (format == VideoFormat::png_folder) {
    writers::check_png_folder(path);
    return;
  }
  if (format == VideoFormat::mp4 || format == VideoFormat::webm) writers::check_encoder(format);
  check_output_path(path);
  if (format == VideoFormat::y4m && !params.metadata.empty()) check_output_path(writers::y4m_metadata_path(path));
}

std::unique_ptr<VideoWriter> make_video_writer(const fs::path& path, const VideoParams& params) {
  check_video_output(path, params);
  const VideoFormat format = video_format(path);
  if (format == VideoFormat::png_folder) return writers::make_png_folder(path, params);
  if (format == VideoFormat::y4m) return writers::make_y4m(path, params);
  return writers::make_encoded(path, params, format);
}

void frame_to_rgb8(std::span<const float> video, int64_t frames, int64_t frame, std::span<uint8_t> rgb) {
  const size_t pixels = rgb.size() / 3, count = static_cast<size_t>(frames), index = static_cast<size_t>(frame);
  require(frame >= 0 && frame < frames && rgb.size() == pixels * 3 && video.size() == rgb.size() * count,
          ErrorCode::invalid_argument, "[video] {} values and {} bytes do not make frame {} of {}", video.size(),
          rgb.size(), frame, frames);
  for (size_t c = 0; c < 3; ++c) {
    const float* plane = video.data() + (c * count + index) * pixels;
    for (size_t i = 0; i < pixels; ++i) {
      const float v = plane[i];
      const float unit = (std::min(std::max(v, -1.0f), 1.0f) + 1.0f) / 2.0f;
      rgb[i * 3 + c] = v == v ? static_cast<uint8_t>(unit * 255.0f) : uint8_t{0};
    }
  }
}

}  // namespace wan::io
