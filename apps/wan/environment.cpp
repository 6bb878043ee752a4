#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "parse.h"

namespace wan::app {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path home() { return variable("HOME").empty() ? "." : variable("HOME"); }

// As the shell does it at the start of a word; huggingface_hub does it too.
fs::path expand_home(const std::string& path) {
  if (path == "~") return home();
  return path.starts_with("~/") ? home() / path.substr(2) : fs::path(path);
}

fs::path folder(const char* name, const fs::path& otherwise) {
  const std::string value = variable(name);
  return value.empty() ? otherwise : expand_home(value);
}

std::string first_word(const fs::path& file) {
  std::ifstream in(file);
  std::string word;
  in >> word;
  return word;
}

// As huggingface_hub reads it; what is no number of seconds counts as not set, for it may be meant for another program.
std::optional<int> whole_seconds(const char* name) {
  const std::string text = variable(name);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value > 0 ? std::optional(value) : std::nullopt;
}

bool is_true(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE";
}

// The variables that huggingface_hub reads, with its defaults.
void read_hub_environment(Environment& e) {
  const fs::path hf_home = folder("HF_HOME", folder("XDG_CACHE_HOME", home() / ".cache") / "huggingface");
  e.hub_cache = folder("HF_HUB_CACHE", folder("HUGGINGFACE_HUB_CACHE", hf_home / "hub"));
  e.hub_endpoint = variable("HF_ENDPOINT");
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (e.hub_token.empty()) e.hub_token = variable(name);
  if (e.hub_token.empty()) e.hub_token = first_word(folder("HF_TOKEN_PATH", hf_home / "token"));
  e.hub_offline = is_true(variable("HF_HUB_OFFLINE"));
  e.hub_answer_timeout = whole_seconds("HF_HUB_ETAG_TIMEOUT");
  e.hub_stall_timeout = whole_seconds("HF_HUB_DOWNLOAD_TIMEOUT");
  if (const std::string domain = variable("MODELSCOPE_DOMAIN"); !domain.empty())
    e.modelscope_endpoint = domain.find("://") == std::string::npos ? "https://" + domain : domain;
}

}  // namespace

Environment read_environment() {
  const auto text = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value == nullptr ? "" : value);
  };
  Environment e;
  e.stderr_is_terminal = isatty(STDERR_FILENO) == 1 && text("TERM") != "dumb";
  e.color = e.stderr_is_terminal && text("NO_COLOR").empty();
  winsize size{};
  if (e.stderr_is_terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) e.columns = size.ws_col;
  read_hub_environment(e);
  for (char** v = environ; *v != nullptr; ++v) {
    const std::string_view entry(*v);
    if (const size_t cut = entry.find('='); cut != std::string_view::npos)
      e.variables.emplace(entry.substr(0, cut), entry.substr(cut + 1));
  }
  return e;
}

}  // namespace wan::app
