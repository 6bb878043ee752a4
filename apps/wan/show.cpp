#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "values.h"

namespace wan::app {
namespace {

using Json = nlohmann::ordered_json;

// A stored value as the flag of the same name takes it: text as it is, [low, high] as "low,high".
std::string flag_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const Json& part : value) {
    if (!text.empty()) text += ',';
    text += flag_text(part);
  }
  return text;
}

// The flags of `wan generate` that a file's request sets, in the order in which they are printed.
constexpr std::array kFlags = {
    "task",      "ckpt_dir", "prompt",        "negative_prompt", "image",        "size",
    "frame_num", "fps",      "sample_solver", "sample_steps",    "sample_shift", "sample_guide_scale",
    "base_seed", "rng",      "noise",         "latents",         "dtype",        "convert_model_dtype"};

std::string remake_command(const Json& request, const std::filesystem::path& file) {
  std::string command = "wan generate";
  for (const char* name : kFlags) {
    if (!request.contains(name)) continue;
    const Json& value = request[name];
    const bool may_be_empty = std::string_view(name).ends_with("prompt");
    if (value.is_null() || value == Json(false) || (value == Json("") && !may_be_empty)) continue;
    command += fmt::format(" --{}", name);
    if (value.is_boolean()) continue;
    const std::string text = flag_text(value);
    // A value that starts with '-' would be read as a flag.
    command += text.starts_with('-') ? '=' : ' ';
    command += shell_quote(text);
  }
  if (!request.contains("ckpt_dir")) command += " --ckpt_dir CHECKPOINT_FOLDER";
  const bool folder = std::filesystem::is_directory(file);
  std::filesystem::path again = file.has_filename() ? file : file.parent_path();
  again.replace_filename(again.stem().string() + "_again" + again.extension().string() + (folder ? "/" : ""));
  return command + " --save_file " + shell_quote(again.string());
}

// {"version": ..., "request": {...}, "model": {...}} as one line per value; inner names stand alone.
void print_table(const Json& stored) {
  size_t width = 0;
  const auto each = [](const Json& object, const auto& visit) {
    for (const auto& [name, value] : object.items()) {
      if (!value.is_object())
        visit(name, value);
      else
        for (const auto& [inner, inner_value] : value.items()) visit(inner, inner_value);
    }
  };
  each(stored, [&](const std::string& name, const Json&) { width = std::max(width, name.size()); });
  each(stored, [&](const std::string& name, const Json& value) {
    fmt::print("{:<{}}  {}\n", printable(name), width, printable(flag_text(value)));
  });
}

}  // namespace

int run_show(const Options& options) {
  const std::filesystem::path& file = options.show.file;
  const auto stored = read_metadata(file);
  if (!stored)
    throw Error(ErrorCode::bad_file,
                fmt::format("[show] {}: holds no request of wan; expected a video that wan generate "
                            "made without --no_metadata",
                            file.string()));
  const Json all = Json::parse(*stored, nullptr, /*allow_exceptions=*/false);
  if (!all.is_object() || !all.contains("request") || !all["request"].is_object())
    throw Error(ErrorCode::bad_file, fmt::format("[show] {}: the stored request is damaged", file.string()));
  if (options.show.json) {
    fmt::print("{}\n", *stored);
  } else {
    print_table(all);
    fmt::print("\n{}\n", remake_command(all["request"], file));
  }
  if (std::fflush(stdout) != 0) throw Error(ErrorCode::bad_file, "[stdout] could not be written");
  return 0;
}

int exit_status(ErrorCode code) noexcept { return code == ErrorCode::invalid_argument ? 2 : 1; }

}  // namespace wan::app
