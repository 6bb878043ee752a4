#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "io/tensor_index.h"
#include "io/tensor_names.h"

namespace wan::io {

/// Tensors whose files are opened at first use, and only once. Copies share them; thread-safe.
class LazyTensors {
 public:
  LazyTensors() = default;
  explicit LazyTensors(std::function<TensorIndex()> open);

  /// Opens on the first call; errors of opening are thrown again on every call.
  const TensorIndex& get() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// A diffusion transformer: its configuration file and its tensors.
struct DitFiles {
  std::filesystem::path config;
  LazyTensors tensors;
};

enum class VaeVersion { v2_1, v2_2 };

/// A Wan2.x checkpoint folder as downloaded, in the official layout:
///   high_noise_model/, low_noise_model/ (A14B, two experts) or the transformer at the root (5B, and Wan2.1):
///     config.json and diffusion_pytorch_model*.safetensors
///   models_t5_umt5-xxl-enc-bf16.pth, Wan2.1_VAE.pth or Wan2.2_VAE.pth, google/umt5-xxl/spiece.model
/// or in that of diffusers' pipelines, whose tensors appear here under their official names (see tensor_names.h):
///   model_index.json; transformer/ (high noise, or the only one) and transformer_2/ (low noise), vae/: config.json and
///   diffusion_pytorch_model*.safetensors; text_encoder/model*.safetensors; tokenizer/spiece.model
struct Checkpoint {
  std::filesystem::path root;
  Naming layout = Naming::official;
  bool two_experts = false;
  DitFiles high_noise;  ///< A14B's high-noise expert, or the only transformer
  DitFiles low_noise;   ///< A14B's low-noise expert; the same files as high_noise without experts
  LazyTensors text_encoder;
  std::filesystem::path tokenizer;  ///< spiece.model
  VaeVersion vae_version = VaeVersion::v2_1;
  LazyTensors vae;

  /// Identifies the weights, for a video's metadata: configurations and tokenizer in full, tensors as
  /// Fingerprint::add(TensorIndex) does. The same after resharding, copying or renaming the folder. Opens everything.
  std::string fingerprint() const;
};

/// Where a folder of either layout has what; a person's and a program's names for the same things.
struct LayoutNames {
  const char *high, *low, *only;  ///< folders of transformers; empty: the root
  const char* text_encoder;       ///< a file, or a folder
  const char *vae21, *vae22;      ///< files, or a folder
  const char* tokenizer;          ///< a folder
};
const LayoutNames& layout_names(Naming layout) noexcept;
/// The file in the tokenizer's folder that is read, and the stems of safetensors files.
inline constexpr const char* tokenizer_file = "spiece.model";
inline constexpr const char* model_index_file = "model_index.json";
inline constexpr const char* dit_stem = "diffusion_pytorch_model";
inline constexpr const char* diffusers_text_stem = "model";

/// Finds the parts and reads no weights. Throws bad_file with all missing files at once, and what was expected.
Checkpoint open_checkpoint(const std::filesystem::path& root);

}  // namespace wan::io
