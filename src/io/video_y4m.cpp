#include <fmt/format.h>

#include <optional>
#include <system_error>
#include <vector>

#include "io/atomic_file.h"
#include "io/video_writers.h"

namespace wan::io::writers {
namespace {

/// One row of the RGB to Y'CbCr matrix in 16-bit fixed point, with the offset and half a unit for rounding.
struct YccRow {
  double r, g, b, offset;
  int apply(const uint8_t* rgb) const {
    constexpr double one = 1 << 16;
    return (static_cast<int>(r * one) * rgb[0] + static_cast<int>(g * one) * rgb[1] +
            static_cast<int>(b * one) * rgb[2] + static_cast<int>((offset + 0.5) * one)) >>
           16;
  }
};

// BT.601, limited range: Y' in 16..235, Cb and Cr in 16..240.
constexpr YccRow luma{0.299 * 219 / 255, 0.587 * 219 / 255, 0.114 * 219 / 255, 16};
constexpr YccRow blue{-0.299 / 1.772 * 224 / 255, -0.587 / 1.772 * 224 / 255, 0.886 / 1.772 * 224 / 255, 128};
constexpr YccRow red{0.701 / 1.402 * 224 / 255, -0.587 / 1.402 * 224 / 255, -0.114 / 1.402 * 224 / 255, 128};

class Y4mWriter final : public VideoWriter {
 public:
  Y4mWriter(const std::filesystem::path& path, const VideoParams& params)
      : params_(params), file_(path), planes_(static_cast<size_t>(params.width * params.height * 3)) {
    if (!params.metadata.empty()) {
      metadata_.emplace(y4m_metadata_path(path));
      metadata_->write(params.metadata);
    }
    file_.write(fmt::format("YUV4MPEG2 W{} H{} F{}:{} Ip A1:1 C444 XCOLORRANGE=LIMITED\n", params.width, params.height,
                            params.fps.num, params.fps.den));
  }

  void write(std::span<const uint8_t> rgb) override {
    check_frame(rgb, params_, file_.target());
    const size_t pixels = planes_.size() / 3;
    for (size_t i = 0; i < pixels; ++i) {
      const uint8_t* p = rgb.data() + 3 * i;
      planes_[i] = static_cast<uint8_t>(luma.apply(p));
      planes_[pixels + i] = static_cast<uint8_t>(blue.apply(p));
      planes_[2 * pixels + i] = static_cast<uint8_t>(red.apply(p));
    }
    file_.write("FRAME\n");
    file_.write(std::as_bytes(std::span(planes_)));
    ++frames_;
  }

  void finish() override {
    check_not_empty(frames_, file_.target());
    std::error_code ignored;
    // Metadata of a video that is now replaced would describe the wrong one.
    if (metadata_)
      metadata_->commit();
    else
      std::filesystem::remove(y4m_metadata_path(file_.target()), ignored);
    file_.commit();
  }

 private:
  VideoParams params_;
  AtomicFile file_;
  std::optional<AtomicFile> metadata_;
  std::vector<uint8_t> planes_;
  int64_t frames_ = 0;
};

}  // namespace

std::filesystem::path y4m_metadata_path(const std::filesystem::path& path) { return path.string() + ".json"; }

std::unique_ptr<VideoWriter> make_y4m(const std::filesystem::path& path, const VideoParams& params) {
  return std::make_unique<Y4mWriter>(path, params);
}

}  // namespace wan::io::writers
