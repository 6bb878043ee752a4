#include "io/wrong_content.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace wan::io {

std::string explain_wrong_content(const MappedFile& file) {
  if (file.size() == 0) return "it is empty: download it again";
  const std::vector<std::byte> head = file.read(0, std::min<int64_t>(file.size(), 64));
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  const auto starts = [&](std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; };
  if (std::all_of(head.begin(), head.end(), [](std::byte b) { return b == std::byte{0}; }))
    return "it begins with zeros, so its download has not reached them yet: finish it, or download the file again";
  if (starts("version https://git-lfs"))
    return "it is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder";
  if (starts("<!DOCTYPE") || starts("<!doctype") || starts("<html"))
    return "it is a web page (a log-in or error page was saved in its place): download it again";
  if (starts("GGUF")) return "it is a GGUF file";
  if (starts("PK\x03\x04")) return "it is a zip archive, such as torch.save writes";
  // A legacy torch.save file begins with a pickled magic number (protocol 2, LONG1 of 10 bytes).
  if (starts("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46"))
    return "it has torch's format from before version 1.6: load it in torch and save it again with torch.save";
  if (text.size() > 8 && text[8] == '{') return "it looks like a safetensors file";
  return {};
}

}  // namespace wan::io
