#pragma once
#include <filesystem>
#include <memory>
#include <span>

#include "io/video.h"

/// The writers behind make_video_writer(); nothing outside the video files needs them.
namespace wan::io::writers {

std::unique_ptr<VideoWriter> make_y4m(const std::filesystem::path& path, const VideoParams& params);
std::unique_ptr<VideoWriter> make_png_folder(const std::filesystem::path& path, const VideoParams& params);
/// mp4 or webm (ffmpeg_video.cpp, or no_ffmpeg_video.cpp, which throws unsupported).
std::unique_ptr<VideoWriter> make_encoded(const std::filesystem::path& path, const VideoParams& params,
                                          VideoFormat format);

/// Throws unsupported, naming what to install, unless mp4 or webm can be written.
void check_encoder(VideoFormat format);
/// Throws invalid_argument unless the folder can be made, or holds nothing but the frames of an earlier video.
void check_png_folder(const std::filesystem::path& path);
/// The file beside a y4m file that holds its metadata.
std::filesystem::path y4m_metadata_path(const std::filesystem::path& path);

/// Throws invalid_argument unless rgb is one frame.
void check_frame(std::span<const uint8_t> rgb, const VideoParams& params, const std::filesystem::path& path);
/// Throws invalid_argument for a video without frames.
void check_not_empty(int64_t frames, const std::filesystem::path& path);

}  // namespace wan::io::writers
