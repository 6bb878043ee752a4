#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace wan::io {

/// Exact frames per second, such as {16, 1} or {24000, 1001}.
struct Rational {
  int64_t num = 0;
  int64_t den = 1;
  bool operator==(const Rational&) const = default;
};

/// How a video is stored; the file name decides.
enum class VideoFormat {
  mp4,         ///< H.264 (libx264), yuv420p, BT.709, faststart
  webm,        ///< VP9, yuv420p, BT.709
  y4m,         ///< uncompressed 4:4:4, BT.601 limited range (what readers assume for a y4m file)
  png_folder,  ///< frame_00000.png, frame_00001.png, ...: lossless
};

/// What a video file needs to know before its first frame.
struct VideoParams {
  int64_t width = 0, height = 0;  ///< pixels. Formats with 4:2:0 colour repeat the last column or row of an odd size.
  Rational fps;
  /// Text (UTF-8, meant to be JSON, at most max_metadata_bytes) that read_metadata() gives back; empty stores nothing.
  /// mp4 and webm: the tag "comment"; y4m: the file NAME.y4m.json, because a y4m header longer than 96 bytes is refused
  /// by common readers; PNG frames: an iTXt chunk "wan" in each, and wan.json beside them.
  std::string metadata;
  /// Constant rate factor. Unset: 10 for H.264, which is upstream's (imageio's quality 8), and 16 for VP9.
  std::optional<int> crf;
};

inline constexpr int64_t max_metadata_bytes = 16 << 20;
inline constexpr int64_t max_video_side = 16384;

/// Takes frames one at a time, in constant memory. The file appears under its name when finish() returns; a writer
/// that is destroyed before leaves nothing behind, and an earlier file of that name as it was. The same frames give
/// the same bytes on every machine with the same library versions.
class VideoWriter {
 public:
  virtual ~VideoWriter() = default;
  VideoWriter(const VideoWriter&) = delete;
  VideoWriter& operator=(const VideoWriter&) = delete;

  /// rgb [height, width, 3]. Throws bad_file naming the path if it cannot be written, such as on a full disk.
  virtual void write(std::span<const uint8_t> rgb) = 0;
  /// Call once, after at least one frame.
  virtual void finish() = 0;

 protected:
  VideoWriter() = default;
};

/// The format for a path: by its extension (any case), or png_folder if it ends in '/', is a folder or has none.
/// Throws invalid_argument with the list of extensions for any other.
VideoFormat video_format(const std::filesystem::path& path);

/// Everything that can be found wrong before the first frame: the name, the size, the encoder, the folder. Call it
/// before loading a model. Throws invalid_argument, or unsupported if this build or its FFmpeg lacks the encoder.
void check_video_output(const std::filesystem::path& path, const VideoParams& params);

/// Starts a video; does what check_video_output() does first.
std::unique_ptr<VideoWriter> make_video_writer(const std::filesystem::path& path, const VideoParams& params);

/// One frame of a video in -1..1 as 8-bit RGB, to the last bit as upstream's save_video(): clamp, (v + 1) / 2, times
/// 255, truncated. video [3, frames, pixels] f32 -> rgb [pixels, 3]; NaN gives 0.
void frame_to_rgb8(std::span<const float> video, int64_t frames, int64_t frame, std::span<uint8_t> rgb);

}  // namespace wan::io
