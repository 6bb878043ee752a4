#include <algorithm>

#include "io/ffmpeg_metadata.h"
#include "io/ffmpeg_raii.h"
#include "io/image.h"
#include "io/video_reader.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;
using namespace wan::io::ffmpeg;

/// Opens a file with the few demuxers that we write for, and never anything that it refers to.
Input open_input(const fs::path& path) {
  silence();
  Options options;
  options.set("format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,yuv4mpegpipe");
  options.set("protocol_whitelist", "file");
  AVFormatContext* opened = nullptr;
  const int result = avformat_open_input(&opened, file_url(path).c_str(), nullptr, &options.dict);
  if (result < 0)
    fail(ErrorCode::bad_file, "[{}] cannot be read as mp4, webm or y4m: {}", path.string(), describe(result));
  return Input(opened);
}

int matrix_for(AVColorSpace space) {
  switch (space) {
    case AVCOL_SPC_BT709: return SWS_CS_ITU709;
    case AVCOL_SPC_BT2020_NCL: return SWS_CS_BT2020;
    case AVCOL_SPC_SMPTE240M: return SWS_CS_SMPTE240M;
    default: return SWS_CS_ITU601;
  }
}

class LibavReader final : public VideoReader {
 public:
  explicit LibavReader(const fs::path& path)
      : name_(path.string()),
        input_(open_input(path)),
        frame_(not_null(av_frame_alloc())),
        packet_(not_null(av_packet_alloc())) {
    check(avformat_find_stream_info(input_.get(), nullptr));
    const AVCodec* decoder = nullptr;
    stream_ = av_find_best_stream(input_.get(), AVMEDIA_TYPE_VIDEO, -1, -1, &decoder, 0);
    check(stream_);
    const AVStream* stream = input_->streams[stream_];
    codec_.reset(not_null(avcodec_alloc_context3(decoder)));
    check(avcodec_parameters_to_context(codec_.get(), stream->codecpar));
    codec_->max_pixels = max_image_pixels;
    check(avcodec_open2(codec_.get(), decoder, nullptr));
    width_ = codec_->width;
    height_ = codec_->height;
    require(width_ > 0 && height_ > 0 && width_ <= max_image_pixels / height_, ErrorCode::bad_file,
            "[{}] has frames of {} x {} pixels; expected at most {} million", name_, width_, height_,
            max_image_pixels / 1'000'000);
    fps_ = {stream->avg_frame_rate.num, stream->avg_frame_rate.den};
  }

  bool read(std::vector<uint8_t>& rgb) override {
    for (;;) {
      const int result = avcodec_receive_frame(codec_.get(), frame_.get());
      if (result == AVERROR_EOF) return false;
      if (result != AVERROR(EAGAIN)) {
        check(result);
        convert(rgb);
        av_frame_unref(frame_.get());
        return true;
      }
      send_packet();
    }
  }

 private:
  void send_packet() {
    for (;;) {
      const int result = av_read_frame(input_.get(), packet_.get());
      if (result == AVERROR_EOF) {
        check(avcodec_send_packet(codec_.get(), nullptr));
        return;
      }
      check(result);
      const bool ours = packet_->stream_index == stream_;
      const int sent = ours ? avcodec_send_packet(codec_.get(), packet_.get()) : 0;
      av_packet_unref(packet_.get());
      check(sent);
      if (ours) return;
    }
  }

  void convert(std::vector<uint8_t>& rgb) {
    require(frame_->width == width_ && frame_->height == height_, ErrorCode::bad_file,
            "[{}] changes its size from {} x {} to {} x {} pixels; expected one size", name_, width_, height_,
            frame_->width, frame_->height);
    const auto format = static_cast<AVPixelFormat>(frame_->format);
    const int w = frame_->width, h = frame_->height;
    scaler_.reset(sws_getCachedContext(scaler_.release(), w, h, format, w, h, AV_PIX_FMT_RGB24,
                                       SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_BITEXACT, nullptr,
                                       nullptr, nullptr));
    require(scaler_ != nullptr, ErrorCode::bad_file, "[{}] its pixel format {} is not supported", name_,
            frame_->format);
    const int full_range = frame_->color_range == AVCOL_RANGE_JPEG ? 1 : 0;
    sws_setColorspaceDetails(scaler_.get(), sws_getCoefficients(matrix_for(frame_->colorspace)), full_range,
                             sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    rgb.resize(static_cast<size_t>(width_ * height_ * 3));
    // swscale may write a little past the end of a row: give it its own buffer.
    Frame target(not_null(av_frame_alloc()));
    target->format = AV_PIX_FMT_RGB24;
    target->width = w;
    target->height = h;
    check(av_frame_get_buffer(target.get(), 0));
    sws_scale(scaler_.get(), frame_->data, frame_->linesize, 0, h, target->data, target->linesize);
    const auto row = static_cast<ptrdiff_t>(width_ * 3);
    for (ptrdiff_t y = 0; y < h; ++y)
      std::copy_n(target->data[0] + y * target->linesize[0], row, rgb.begin() + y * row);
  }

  void check(int result) const {
    if (result < 0) fail(ErrorCode::bad_file, "[{}] cannot be decoded: {}", name_, describe(result));
  }

  std::string name_;
  Input input_;
  Codec codec_;
  Scaler scaler_;
  Frame frame_;
  Packet packet_;
  int stream_ = -1;
};

}  // namespace

std::unique_ptr<VideoReader> open_video(const fs::path& path) { return std::make_unique<LibavReader>(path); }

std::optional<std::string> ffmpeg::read_comment(const fs::path& path) {
  const Input input = open_input(path);
  const AVDictionaryEntry* entry = av_dict_get(input->metadata, "comment", nullptr, 0);
  if (entry == nullptr) return std::nullopt;
  return std::string(entry->value);
}

}  // namespace wan::io
