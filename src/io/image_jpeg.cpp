#include <cstdio>
// jpeglib.h needs size_t and FILE from <cstdio>.
#include <jerror.h>
#include <jpeglib.h>

#include <array>
#include <cstring>
#include <new>

#include "io/image_codecs.h"
#include "io/longjmp_guard.h"

namespace wan::io::codec {
namespace {

// A progressive file may name the whole picture in any number of tiny scans; real ones have about ten.
constexpr int max_scans = 200;
// Each 8x8 block costs at least one bit of Huffman code, in one component of the finest sampling.
constexpr int64_t max_pixels_per_byte = 8 * 64;

/// libjpeg's decompressor over a block of memory.
class JpegReader : public LongjmpGuard {
 public:
  explicit JpegReader(std::span<const std::byte> bytes) {
    cinfo.err = jpeg_std_error(&errors_);
    errors_.error_exit = on_error;
    errors_.emit_message = on_message;
    errors_.output_message = [](j_common_ptr) {};
    cinfo.client_data = this;
    source_.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
    source_.bytes_in_buffer = bytes.size();
    source_.init_source = [](j_decompress_ptr) {};
    source_.fill_input_buffer = on_empty;
    source_.skip_input_data = on_skip;
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.term_source = [](j_decompress_ptr) {};
    progress_.progress_monitor = on_progress;
    if (!guarded([&] { jpeg_create_decompress(&cinfo); })) throw std::bad_alloc();
    cinfo.src = &source_;
    cinfo.progress = &progress_;
  }
  ~JpegReader() { jpeg_destroy_decompress(&cinfo); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  jpeg_decompress_struct cinfo{};

 private:
  static JpegReader& self(j_common_ptr c) { return *static_cast<JpegReader*>(c->client_data); }
  [[noreturn]] static void on_error(j_common_ptr c) {
    std::array<char, JMSG_LENGTH_MAX> text{};
    c->err->format_message(c, text.data());
    self(c).leave(text.data());
  }
  // Most warnings are about harmless disorder between segments; those below mean that picture data is lost.
  static void on_message(j_common_ptr c, int level) {
    if (level >= 0) return;
    const int code = c->err->msg_code;
    if (code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE || code == JWRN_MUST_RESYNC) on_error(c);
  }
  static void on_progress(j_common_ptr c) {
    if (self(c).cinfo.input_scan_number <= max_scans) return;
    self(c).leave("it has too many scans");
  }
  static boolean on_empty(j_decompress_ptr c) {
    ERREXIT(c, JERR_INPUT_EOF);
    return FALSE;
  }
  static void on_skip(j_decompress_ptr c, long count) {
    if (count <= 0) return;
    if (static_cast<size_t>(count) > c->src->bytes_in_buffer) ERREXIT(c, JERR_INPUT_EOF);
    c->src->next_input_byte += count;
    c->src->bytes_in_buffer -= static_cast<size_t>(count);
  }

  jpeg_error_mgr errors_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
};

/// Adobe's inverted CMYK to RGB, rounded as PIL does. [count, 4] -> [count, 3]
void cmyk_to_rgb(const uint8_t* cmyk, int64_t count, uint8_t* rgb) {
  for (int64_t i = 0; i < count; ++i, cmyk += 4, rgb += 3) {
    const int white = cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - cmyk[c]) * white + 128;
      rgb[c] = static_cast<uint8_t>(white - (((product >> 8) + product) >> 8));
    }
  }
}

int orientation_of(const jpeg_decompress_struct& cinfo) {
  for (jpeg_saved_marker_ptr m = cinfo.marker_list; m != nullptr; m = m->next)
    if (m->data_length >= 6 && std::memcmp(m->data, "Exif\0", 6) == 0)
      return exif_orientation(std::as_bytes(std::span(m->data, m->data_length)));
  return 1;
}

}  // namespace

Decoded decode_jpeg(std::span<const std::byte> bytes, const std::string& name) {
  JpegReader reader(bytes);
  jpeg_decompress_struct& cinfo = reader.cinfo;
  if (!reader.guarded([&] {
        jpeg_save_markers(&cinfo, JPEG_APP0 + 1, 0xffff);
        jpeg_read_header(&cinfo, TRUE);
      }))
    fail_corrupt(name, "JPEG", reader.message());
  check_size(cinfo.image_width, cinfo.image_height, name);
  const int64_t pixels = int64_t{cinfo.image_width} * cinfo.image_height;
  if (!cinfo.arith_code && pixels / max_pixels_per_byte > static_cast<int64_t>(bytes.size()))
    fail_corrupt(name, "JPEG", "it is too short for its size in pixels");

  Decoded out;
  out.orientation = orientation_of(cinfo);
  out.image.width = cinfo.image_width;
  out.image.height = cinfo.image_height;
  out.image.rgb.resize(static_cast<size_t>(pixels * 3));
  const bool cmyk = cinfo.num_components == 4;
  std::vector<uint8_t> row(cmyk ? size_t{4} * cinfo.image_width : 0);

  if (!reader.guarded([&] {
        cinfo.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
        jpeg_start_decompress(&cinfo);
        while (cinfo.output_scanline < cinfo.output_height) {
          uint8_t* target = out.image.rgb.data() + size_t{3} * cinfo.image_width * cinfo.output_scanline;
          JSAMPROW line = cmyk ? row.data() : target;
          jpeg_read_scanlines(&cinfo, &line, 1);
          if (cmyk) cmyk_to_rgb(row.data(), out.image.width, target);
        }
        jpeg_finish_decompress(&cinfo);
      }))
    fail_corrupt(name, "JPEG", reader.message());
  return out;
}

}  // namespace wan::io::codec
