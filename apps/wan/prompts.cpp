#include "prompts.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "values.h"

namespace wan::app {
namespace {

constexpr size_t kMaxPromptFile = 16 << 20;

// The first `count` characters (code points) of UTF-8 text, at most 160 bytes; never half a character.
std::string head(const std::string& text, size_t count) {
  size_t end = 0;
  for (size_t n = 0; end < text.size() && n < count; ++n) {
    size_t next = end + 1;
    while (next < text.size() && (static_cast<unsigned char>(text[next]) & 0xc0) == 0x80) ++next;
    if (next > 160) break;
    end = next;
  }
  return text.substr(0, end);
}

}  // namespace

std::vector<std::string> read_prompt_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  const auto unreadable = [&](const char* why) {
    throw Error(ErrorCode::bad_file, fmt::format("[prompt file] {}: {}", file.string(), why));
  };
  if (!in) unreadable(std::strerror(errno));
  if (std::filesystem::is_directory(file)) unreadable("is a folder; expected a text file");
  std::vector<std::string> prompts;
  size_t total = 0;
  for (std::string line; std::getline(in, line);) {
    total += line.size();
    if (total > kMaxPromptFile)
      throw UsageError(fmt::format("--prompt_file {}: larger than 16 MB; split it", file.string()));
    if (prompts.empty() && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.find_first_not_of(" \t") != std::string::npos) prompts.push_back(line);
  }
  if (in.bad()) unreadable("could not be read to its end");
  if (prompts.empty())
    throw UsageError(fmt::format("--prompt_file {}: has no prompt; expected one per line", file.string()));
  return prompts;
}

std::filesystem::path default_name(const Request& prepared, Task task, const std::string& time) {
  std::string words = head(prepared.prompt, 50);
  for (char& c : words)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || std::strchr("/\\:*?\"'<>|&;$`!~#%{}()[]", c) != nullptr)
      c = '_';
  const std::string size =
      prepared.width && prepared.height ? fmt::format("_{}x{}", *prepared.width, *prepared.height) : "";
  return fmt::format("{}{}{}{}_{}.mp4", to_string(task), size, words.empty() ? "" : "_", words, time);
}

std::filesystem::path numbered(const std::filesystem::path& file, size_t number) {
  const std::filesystem::path clean = file.has_filename() ? file : file.parent_path();
  std::filesystem::path name = clean.stem();
  name += fmt::format("_{:04}", number);
  name += clean.extension();
  if (!file.has_filename()) name += "/";
  return clean.parent_path() / name;
}

}  // namespace wan::app
