#include <algorithm>
#include <cstring>
#include <vector>

#include "io/atomic_file.h"
#include "io/ffmpeg_raii.h"
#include "io/file_descriptor.h"
#include "io/video_writers.h"

extern "C" {
#include <libavutil/opt.h>
}

namespace wan::io::writers {
namespace {

namespace fs = std::filesystem;
using namespace wan::io::ffmpeg;

/// Encoder, container and settings of a format.
struct Recipe {
  const char* encoder;
  const char* muxer;
  int crf;
  std::vector<std::pair<const char*, const char*>> options;
};

Recipe recipe_for(VideoFormat format) {
  // x264's macroblock tree reads memory that nothing wrote (seen in build 164): the bytes would depend on the history
  // of the heap.
  if (format == VideoFormat::mp4) return {"libx264", "mp4", 10, {{"preset", "medium"}, {"mbtree", "0"}}};
  return {"libvpx-vp9",
          "webm",
          16,
          {{"b", "0"}, {"deadline", "good"}, {"cpu-used", "2"}, {"tile-columns", "2"}, {"row-mt", "0"}}};
}

// x264's output depends on the number of threads: a fixed one makes it the same on every machine.
constexpr int encoder_threads = 4;

int64_t even(int64_t side) { return side + side % 2; }

/// RGB to yuv420p, BT.709 limited range, chroma sited left as H.264 and VP9 assume.
Scaler make_scaler(int width, int height) {
  Scaler scaler(not_null(sws_alloc_context()));
  SwsContext* s = scaler.get();
  const auto set = [s](const char* key, int64_t value) { return av_opt_set_int(s, key, value, 0) >= 0; };
  bool ok = set("srcw", width) && set("srch", height) && set("dstw", width) && set("dsth", height);
  ok = ok && set("src_format", AV_PIX_FMT_RGB24) && set("dst_format", AV_PIX_FMT_YUV420P);
  ok = ok && set("dst_h_chr_pos", 0) && set("dst_v_chr_pos", 128);
  // Without accurate rounding and bit-exactness the bytes depend on the processor.
  ok = ok && set("sws_flags", SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP | SWS_BITEXACT);
  const int* bt709 = sws_getCoefficients(SWS_CS_ITU709);
  ok = ok && sws_setColorspaceDetails(s, bt709, 1, bt709, 0, 0, 1 << 16, 1 << 16) >= 0;
  require(ok && sws_init_context(s, nullptr, nullptr) >= 0, ErrorCode::unsupported,
          "[video] this FFmpeg cannot convert RGB to yuv420p; install libswscale 6 or newer");
  return scaler;
}

/// A muxer writing to a file by path.
class Output {
 public:
  Output(const char* muxer, const fs::path& file) {
    AVFormatContext* made = nullptr;
    const int result = avformat_alloc_output_context2(&made, nullptr, muxer, file_url(file).c_str());
    context_ = made;
    if (result < 0)
      fail(ErrorCode::unsupported, "[video] this FFmpeg cannot write {} files: {}", muxer, describe(result));
    context_->flags |= AVFMT_FLAG_BITEXACT;
  }
  ~Output() {
    if (!context_) return;
    avio_closep(&context_->pb);
    avformat_free_context(context_);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  AVFormatContext* operator->() const { return context_; }
  AVFormatContext* get() const { return context_; }

 private:
  AVFormatContext* context_ = nullptr;
};

class EncodedWriter final : public VideoWriter {
 public:
  EncodedWriter(const fs::path& path, const VideoParams& params, const Recipe& recipe)
      : params_(params),
        width_(even(params.width)),
        height_(even(params.height)),
        file_(path),
        output_(recipe.muxer, file_.temporary_path()),
        scaler_(make_scaler(static_cast<int>(width_), static_cast<int>(height_))),
        frame_(not_null(av_frame_alloc())),
        packet_(not_null(av_packet_alloc())) {
    if (width_ != params.width || height_ != params.height) padded_.resize(static_cast<size_t>(width_ * height_ * 3));
    open_encoder(recipe);
    open_file(recipe);
  }

  void write(std::span<const uint8_t> rgb) override {
    check_frame(rgb, params_, file_.target());
    frame_->format = AV_PIX_FMT_YUV420P;
    frame_->width = codec_->width;
    frame_->height = codec_->height;
    check(av_frame_get_buffer(frame_.get(), 0), "no memory for a frame");
    const uint8_t* source[] = {padded(rgb)};
    const int stride[] = {codec_->width * 3};
    sws_scale(scaler_.get(), source, stride, 0, codec_->height, frame_->data, frame_->linesize);
    frame_->pts = frames_++;
    encode(frame_.get());
    av_frame_unref(frame_.get());
  }

  void finish() override {
    check_not_empty(frames_, file_.target());
    encode(nullptr);
    check(av_write_trailer(output_.get()), "cannot be written");
    avio_flush(output_->pb);
    check(output_->pb->error, "cannot be written");
    check(avio_closep(&output_->pb), "cannot be written");
    file_.commit();
  }

 private:
  void open_encoder(const Recipe& recipe) {
    const AVCodec* encoder = avcodec_find_encoder_by_name(recipe.encoder);
    codec_.reset(not_null(avcodec_alloc_context3(encoder)));
    codec_->width = static_cast<int>(width_);
    codec_->height = static_cast<int>(height_);
    codec_->pix_fmt = AV_PIX_FMT_YUV420P;
    codec_->framerate = {static_cast<int>(params_.fps.num), static_cast<int>(params_.fps.den)};
    codec_->time_base = av_inv_q(codec_->framerate);
    codec_->color_primaries = AVCOL_PRI_BT709;
    codec_->color_trc = AVCOL_TRC_BT709;
    codec_->colorspace = AVCOL_SPC_BT709;
    codec_->color_range = AVCOL_RANGE_MPEG;
    codec_->chroma_sample_location = AVCHROMA_LOC_LEFT;
    codec_->thread_count = encoder_threads;
    codec_->flags |= AV_CODEC_FLAG_BITEXACT;
    if (output_->oformat->flags & AVFMT_GLOBALHEADER) codec_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;

    Options options;
    for (const auto& [key, value] : recipe.options) options.set(key, value);
    options.set("crf", fmt::format("{}", params_.crf.value_or(recipe.crf)));
    const int result = avcodec_open2(codec_.get(), encoder, &options.dict);
    if (result < 0 || av_dict_count(options.dict) > 0)
      fail(ErrorCode::unsupported,
           "[{}] the encoder {} does not take {} x {} pixels at {}/{} frames per second and crf {}: {}",
           file_.target().string(), recipe.encoder, width_, height_, params_.fps.num, params_.fps.den,
           params_.crf.value_or(recipe.crf), result < 0 ? describe(result) : "unknown option");
  }

  void open_file(const Recipe& recipe) {
    AVStream* stream = not_null(avformat_new_stream(output_.get(), nullptr));
    check(avcodec_parameters_from_context(stream->codecpar, codec_.get()), "no memory for a stream");
    stream->time_base = codec_->time_base;
    stream->avg_frame_rate = codec_->framerate;
    if (!params_.metadata.empty())
      Options::check_memory(av_dict_set(&output_->metadata, "comment", params_.metadata.c_str(), 0));
    check(avio_open(&output_->pb, output_->url, AVIO_FLAG_WRITE), "cannot be written");
    Options options;
    // The index goes to the front, so that a browser can start before it has everything.
    if (std::strcmp(recipe.muxer, "mp4") == 0) options.set("movflags", "+faststart");
    check(avformat_write_header(output_.get(), &options.dict), "cannot be written");
  }

  /// The frame with its last column and row repeated up to even sizes.
  const uint8_t* padded(std::span<const uint8_t> rgb) {
    if (padded_.empty()) return rgb.data();
    const size_t row = static_cast<size_t>(params_.width) * 3, target_row = static_cast<size_t>(width_) * 3;
    for (size_t y = 0; y < static_cast<size_t>(height_); ++y) {
      const uint8_t* from = rgb.data() + std::min(y, static_cast<size_t>(params_.height) - 1) * row;
      uint8_t* to = padded_.data() + y * target_row;
      std::memcpy(to, from, row);
      if (target_row > row) std::memcpy(to + row, from + row - 3, 3);
    }
    return padded_.data();
  }

  void encode(const AVFrame* frame) {
    check(avcodec_send_frame(codec_.get(), frame), "a frame could not be encoded");
    for (;;) {
      const int result = avcodec_receive_packet(codec_.get(), packet_.get());
      if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) return;
      check(result, "a frame could not be encoded");
      if (packet_->duration == 0) packet_->duration = 1;
      av_packet_rescale_ts(packet_.get(), codec_->time_base, output_->streams[0]->time_base);
      check(av_write_frame(output_.get(), packet_.get()), "cannot be written");
      check(output_->pb->error, "cannot be written");
      av_packet_unref(packet_.get());
    }
  }

  void check(int result, const char* what) const {
    if (result >= 0) return;
    if (result == AVERROR(ENOMEM)) fail(ErrorCode::out_of_memory, "[{}] {}", file_.target().string(), what);
    const int error = AVUNERROR(result);
    fail(ErrorCode::bad_file, "[{}] {}: {}", file_.target().string(), what,
         error > 0 && error < 200 ? describe_errno(error) : describe(result));
  }

  VideoParams params_;
  int64_t width_, height_;  // even
  AtomicFile file_;
  Output output_;
  Codec codec_;
  Scaler scaler_;
  Frame frame_;
  Packet packet_;
  std::vector<uint8_t> padded_;
  int64_t frames_ = 0;
};

}  // namespace

void check_encoder(VideoFormat format) {
  silence();
  const Recipe recipe = recipe_for(format);
  require(
      avcodec_find_encoder_by_name(recipe.encoder) != nullptr, ErrorCode::unsupported,
      "[video] this FFmpeg has no {} encoder, which {} files need; install one that has (Debian and Ubuntu: apt-get "
      "install libavcodec-extra), or choose a .y4m file or a folder of PNG frames",
      recipe.encoder, recipe.muxer);
}

std::unique_ptr<VideoWriter> make_encoded(const fs::path& path, const VideoParams& params, VideoFormat format) {
  silence();
  return std::make_unique<EncodedWriter>(path, params, recipe_for(format));
}

}  // namespace wan::io::writers
