#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "io/video.h"

namespace wan::io {

/// Decodes a video frame by frame, in constant memory. Colour is converted to RGB as the file's tags say; without tags
/// BT.601 is assumed.
class VideoReader {
 public:
  virtual ~VideoReader() = default;
  VideoReader(const VideoReader&) = delete;
  VideoReader& operator=(const VideoReader&) = delete;

  int64_t width() const { return width_; }
  int64_t height() const { return height_; }
  Rational fps() const { return fps_; }

  /// The next frame into rgb ([height, width, 3], resized as needed); false at the end. Throws bad_file.
  virtual bool read(std::vector<uint8_t>& rgb) = 0;

 protected:
  VideoReader() = default;
  int64_t width_ = 0, height_ = 0;
  Rational fps_;
};

/// Opens an mp4, webm or y4m file. Throws bad_file, or unsupported without FFmpeg.
std::unique_ptr<VideoReader> open_video(const std::filesystem::path& path);

}  // namespace wan::io
