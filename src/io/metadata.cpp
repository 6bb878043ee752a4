#include "io/metadata.h"

#include <algorithm>
#include <fstream>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "io/ffmpeg_metadata.h"
#include "io/png_text.h"
#include "io/video.h"
#include "io/video_writers.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

/// The first `limit` bytes of a file, or all of it.
std::string read_prefix(const fs::path& path, int64_t limit) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  require(!error, ErrorCode::bad_file, "[{}] cannot be read: {}", path.string(), error.message());
  std::string text(static_cast<size_t>(std::min<uintmax_t>(size, static_cast<uintmax_t>(limit))), '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  require(file.good(), ErrorCode::bad_file, "[{}] cannot be read; check its permissions", path.string());
  return text;
}

std::optional<std::string> read_text_file(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  std::string text = read_prefix(path, max_metadata_bytes + 1);
  require(static_cast<int64_t>(text.size()) <= max_metadata_bytes, ErrorCode::bad_file,
          "[{}] has more than {} bytes, which is no metadata of a video", path.string(), max_metadata_bytes);
  return text;
}

std::optional<std::string> read_png(const fs::path& path) {
  // The chunk precedes the pixels: no more than this needs to be read.
  const std::string bytes = read_prefix(path, max_metadata_bytes + (1 << 20));
  return read_png_text(std::as_bytes(std::span(bytes)), path.string());
}

std::optional<std::string> read_folder(const fs::path& folder) {
  if (auto text = read_text_file(folder / "wan.json")) return text;
  const fs::path first = folder / "frame_00000.png";
  std::error_code error;
  require(fs::is_regular_file(first, error), ErrorCode::bad_file,
          "[{}] holds neither wan.json nor frame_00000.png; expected a folder of PNG frames", folder.string());
  return read_png(first);
}

}  // namespace

std::optional<std::string> read_metadata(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  require(fs::exists(status), ErrorCode::bad_file, "[{}] there is no such file; check the path", path.string());
  if (fs::is_directory(status)) return read_folder(path);
  require(fs::is_regular_file(status), ErrorCode::bad_file, "[{}] is a device, pipe or socket; expected a video file",
          path.string());

  const std::string start = read_prefix(path, 12);
  const std::string_view head = start;
  if (head.starts_with("\x89PNG\r\n\x1a\n"sv)) return read_png(path);
  if (head.starts_with("YUV4MPEG2 "sv)) return read_text_file(writers::y4m_metadata_path(path));
  const bool mp4 = head.size() >= 8 && head.substr(4, 4) == "ftyp"sv;
  const bool webm = head.starts_with("\x1a\x45\xdf\xa3"sv);
  require(mp4 || webm, ErrorCode::bad_file,
          "[{}] is no mp4, webm, y4m or PNG file; expected a video that this program wrote", path.string());
  auto comment = ffmpeg::read_comment(path);
  if (comment && !comment->starts_with('{')) return std::nullopt;
  return comment;
}

}  // namespace wan::io
