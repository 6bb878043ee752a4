#include "hub/selection.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "io/checkpoint.h"

namespace wan::hub {
namespace {

constexpr std::string_view experts[] = {"high_noise_model/", "low_noise_model/"};
constexpr std::string_view tokenizer_folder = "google/umt5-xxl/";
constexpr std::string_view tokenizer = "google/umt5-xxl/spiece.model";
constexpr std::string_view text_encoder = "models_t5_umt5-xxl-enc-bf16.pth";
constexpr std::string_view vaes[] = {"Wan2.1_VAE.pth", "Wan2.2_VAE.pth"};
constexpr std::string_view weights_stem = "diffusion_pytorch_model";

bool is_weights(std::string_view name) {
  return name.starts_with(weights_stem) && name.find('/') == std::string_view::npos &&
         (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"));
}

// Of a transformer in `folder` ("" or with a slash at its end).
bool is_transformer_file(std::string_view path, std::string_view folder) {
  if (!path.starts_with(folder)) return false;
  const std::string_view name = path.substr(folder.size());
  return name == "config.json" || is_weights(name);
}

// What a pipeline of diffusers consists of; which of its models there are, io::open_checkpoint says.
bool is_pipeline_file(std::string_view path) {
  const size_t slash = path.find('/');
  if (slash == std::string_view::npos) return path == io::model_index_file || path == "generation.json";
  const std::string_view folder = path.substr(0, slash), name = path.substr(slash + 1);
  if (name.find('/') != std::string_view::npos) return false;
  if (folder == "tokenizer" || folder == "scheduler") return true;
  if (folder == "text_encoder")
    return name == "config.json" || (name.starts_with(io::diffusers_text_stem) &&
                                     (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")));
  return (folder == "transformer" || folder == "transformer_2" || folder == "vae") &&
         (name == "config.json" || is_weights(name));
}

std::vector<RemoteFile> select_pipeline_files(const std::vector<RemoteFile>& files, const std::string& repo) {
  std::vector<RemoteFile> selected;
  std::ranges::copy_if(files, std::back_inserter(selected),
                       [](const RemoteFile& f) { return is_pipeline_file(f.path); });
  std::vector<std::string_view> missing;
  for (const std::string_view path :
       {"transformer/config.json", "vae/config.json", "text_encoder/config.json", "tokenizer/spiece.model"})
    if (std::ranges::none_of(selected, [&](const RemoteFile& file) { return file.path == path; }))
      missing.push_back(path);
  require(
      missing.empty(), ErrorCode::unsupported,
      "[{}] is no pipeline of a Wan model for diffusers; it lacks:\n  {}\nGive another name, or --all to fetch what "
      "it has",
      repo, fmt::join(missing, "\n  "));
  return selected;
}

}  // namespace

std::vector<RemoteFile> select_checkpoint_files(const std::vector<RemoteFile>& files, const std::string& repo) {
  const auto any = [&](auto matches) {
    return std::any_of(files.begin(), files.end(), [&](const RemoteFile& file) { return matches(file.path); });
  };
  if (any([](std::string_view path) { return path == io::model_index_file; }) &&
      any([](std::string_view path) { return path.starts_with("transformer/"); }))
    return select_pipeline_files(files, repo);
  const bool two_experts =
      any([](std::string_view path) { return path.starts_with(experts[0]) || path.starts_with(experts[1]); });
  std::vector<std::string_view> transformers(std::begin(experts), std::end(experts));
  if (!two_experts) transformers = {""};

  std::vector<std::string> missing;
  const auto need = [&](std::string name, bool there) {
    if (!there) missing.push_back(std::move(name));
  };
  for (const std::string_view folder : transformers) {
    need(fmt::format("{}config.json", folder),
         any([&](std::string_view path) { return path == fmt::format("{}config.json", folder); }));
    need(fmt::format("{}{}*.safetensors", folder, weights_stem), any([&](std::string_view path) {
           return path.ends_with(".safetensors") && is_transformer_file(path, folder);
         }));
  }
  const auto is_vae = [](std::string_view path) { return path == vaes[0] || path == vaes[1]; };
  need(std::string(text_encoder), any([](std::string_view path) { return path == text_encoder; }));
  need(fmt::format("{} or {}", vaes[0], vaes[1]), any(is_vae));
  need(std::string(tokenizer), any([](std::string_view path) { return path == tokenizer; }));
  require(missing.empty(), ErrorCode::unsupported,
          "[{}] is not a Wan checkpoint in the official layout (nor a pipeline for diffusers); it lacks:\n  {}\nGive "
          "another name, or --all to fetch "
          "what it has",
          repo, fmt::join(missing, "\n  "));

  std::vector<RemoteFile> selected;
  std::copy_if(files.begin(), files.end(), std::back_inserter(selected), [&](const RemoteFile& file) {
    const std::string_view path = file.path;
    return path == text_encoder || is_vae(path) || path.starts_with(tokenizer_folder) || path == "generation.json" ||
           std::any_of(transformers.begin(), transformers.end(),
                       [&](std::string_view folder) { return is_transformer_file(path, folder); });
  });
  return selected;
}

}  // namespace wan::hub
