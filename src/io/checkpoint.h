#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "io/tensor_index.h"

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

/// An official Wan2.x checkpoint folder as downloaded:
///   high_noise_model/, low_noise_model/ (A14B, two experts) or the transformer at the root (5B, and Wan2.1):
///     config.json and diffusion_pytorch_model*.safetensors
///   models_t5_umt5-xxl-enc-bf16.pth, Wan2.1_VAE.pth or Wan2.2_VAE.pth, google/umt5-xxl/spiece.model
struct Checkpoint {
  std::filesystem::path root;
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

/// Finds the parts and reads no weights. Throws bad_file with all missing files at once, and what was expected.
Checkpoint open_checkpoint(const std::filesystem::path& root);

}  // namespace wan::io
