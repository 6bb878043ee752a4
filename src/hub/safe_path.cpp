#include "hub/safe_path.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "io/printable.h"

namespace wan::hub {
namespace {

constexpr size_t max_path = 1024;
constexpr size_t max_part = 240;  // 255, less what partial files and metadata append

const char* problem_of_part(std::string_view part, bool first) {
  if (part.empty()) return "an empty part";
  if (part == "." || part == "..") return "a part that leads elsewhere";
  if (part.size() > max_part) return "a part that is too long";
  if (first && part == ".cache") return "the name of the download's own folder";
  if (part == ".git") return "the name of git's own folder";
  return nullptr;
}

const char* problem_of(std::string_view path) {
  if (path.empty()) return "no name";
  if (path.size() > max_path) return "too many characters";
  if (path.find('\\') != std::string_view::npos) return "a backslash";
  if (path.size() > 1 && path[1] == ':') return "a drive letter";
  if (std::any_of(path.begin(), path.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
    return "a control character";
  for (size_t begin = 0;;) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (const char* problem = problem_of_part(path.substr(begin, end - begin), begin == 0)) return problem;
    if (end == path.size()) return nullptr;
    begin = end + 1;
  }
}

}  // namespace

void check_path(std::string_view path, const std::string& where) {
  if (const char* problem = problem_of(path))
    fail(ErrorCode::comm,
         "[{}] lists the file {}, which has {}: it could be written to a wrong place, so nothing was fetched", where,
         io::printable(path), problem);
}

void check_distinct(std::span<const std::string> paths, const std::string& where) {
  const std::set<std::string_view> all(paths.begin(), paths.end());
  require(all.size() == paths.size(), ErrorCode::comm, "[{}] lists a file twice; nothing was fetched", where);
  for (const std::string& path : paths)
    for (size_t cut = path.find('/'); cut != std::string::npos; cut = path.find('/', cut + 1))
      require(!all.contains(std::string_view(path).substr(0, cut)), ErrorCode::comm,
              "[{}] lists {} as a file and as a folder; nothing was fetched", where,
              io::printable(path.substr(0, cut)));
}

}  // namespace wan::hub
