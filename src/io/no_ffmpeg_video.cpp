#include "core/error.h"
#include "io/ffmpeg_metadata.h"
#include "io/video_reader.h"
#include "io/video_writers.h"

namespace wan::io {
namespace {

[[noreturn]] void fail_without_ffmpeg() {
  fail(ErrorCode::unsupported,
       "[video] this build cannot read or write mp4 and webm; install FFmpeg's libraries (Debian and Ubuntu: apt-get "
       "install libavformat-dev libavcodec-dev libswscale-dev) and build again, or choose a .y4m file or a folder of "
       "PNG frames");
}

}  // namespace

void writers::check_encoder(VideoFormat) { fail_without_ffmpeg(); }

std::unique_ptr<VideoWriter> writers::make_encoded(const std::filesystem::path&, const VideoParams&, VideoFormat) {
  fail_without_ffmpeg();
}

std::unique_ptr<VideoReader> open_video(const std::filesystem::path&) { fail_without_ffmpeg(); }

std::optional<std::string> ffmpeg::read_comment(const std::filesystem::path&) { fail_without_ffmpeg(); }

}  // namespace wan::io
