#pragma once
#include <filesystem>
#include <memory>
#include <string>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/log.h>
#include <libswscale/swscale.h>
}

#include "core/error.h"

/// Owners for what libav hands out, and its error codes as Errors. Only the ffmpeg_*.cpp files include this.
namespace wan::io::ffmpeg {

template <auto free_by_address>
struct Free {
  template <class T>
  void operator()(T* p) const noexcept {
    free_by_address(&p);
  }
};
template <auto free_pointer>
struct FreePlain {
  template <class T>
  void operator()(T* p) const noexcept {
    free_pointer(p);
  }
};

using Codec = std::unique_ptr<AVCodecContext, Free<avcodec_free_context>>;
using Frame = std::unique_ptr<AVFrame, Free<av_frame_free>>;
using Packet = std::unique_ptr<AVPacket, Free<av_packet_free>>;
using Scaler = std::unique_ptr<SwsContext, FreePlain<sws_freeContext>>;
using Input = std::unique_ptr<AVFormatContext, Free<avformat_close_input>>;

/// libav's options for an open call; knows afterwards which were not understood.
struct Options {
  AVDictionary* dict = nullptr;
  Options() = default;
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;
  ~Options() { av_dict_free(&dict); }
  void set(const char* key, const std::string& value) { check_memory(av_dict_set(&dict, key, value.c_str(), 0)); }
  static void check_memory(int result) {
    if (result < 0) throw std::bad_alloc();
  }
};

inline std::string describe(int error) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(error, text, sizeof text);
  return text;
}

/// libav prints to stderr by default, which a library must not do. A program that set its own level keeps it.
inline void silence() {
  if (av_log_get_level() == AV_LOG_INFO) av_log_set_level(AV_LOG_QUIET);
}

/// The scheme keeps a name with a colon from being taken for a network address.
inline std::string file_url(const std::filesystem::path& path) { return "file:" + path.string(); }

template <class T>
T* not_null(T* p) {
  if (!p) throw std::bad_alloc();
  return p;
}

}  // namespace wan::io::ffmpeg
