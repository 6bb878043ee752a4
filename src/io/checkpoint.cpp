#include "io/checkpoint.h"

#include <fmt/ranges.h>

#include <mutex>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "io/fingerprint.h"

#include "io/safetensors_set.h"
#include "io/torch_file.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;

constexpr const char* high_folder = "high_noise_model";
constexpr const char* low_folder = "low_noise_model";
constexpr const char* text_encoder_name = "models_t5_umt5-xxl-enc-bf16.pth";
constexpr const char* vae21_name = "Wan2.1_VAE.pth";
constexpr const char* vae22_name = "Wan2.2_VAE.pth";
constexpr const char* tokenizer_name = "google/umt5-xxl/spiece.model";
// config.json has a few hundred bytes, spiece.model 4.5 MB; what is larger is hashed in part.
constexpr int64_t max_hashed_bytes = 16 << 20;

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

// Collects what is missing, so that a person fetches it in one go.
class Finder {
 public:
  explicit Finder(const fs::path& root) : root_(root) {}

  fs::path file(const fs::path& path) {
    if (!is_file(path)) missing_.push_back(path.string());
    return path;
  }

  LazyTensors torch_file(const fs::path& path) {
    return LazyTensors([path = file(path)] { return open_torch_file(path); });
  }

  DitFiles dit(const fs::path& folder) {
    if (!is_folder(folder)) {
      missing_.push_back(folder.string() + "/ (config.json and diffusion_pytorch_model*.safetensors)");
      return {};
    }
    DitFiles out;
    out.config = file(folder / "config.json");
    SafetensorsSet set = find_safetensors(folder);
    missing_.insert(missing_.end(), set.missing.begin(), set.missing.end());
    out.tensors = LazyTensors([set = std::move(set)] { return open_safetensors_set(set); });
    return out;
  }

  void finish() const {
    require(missing_.empty(), ErrorCode::bad_file,
            "[{}] {} of the checkpoint's files are missing; download them, or give another folder:\n  {}",
            root_.string(), missing_.size(), fmt::join(missing_, "\n  "));
  }

 private:
  const fs::path& root_;
  std::vector<std::string> missing_;
};

void check_root(const fs::path& root) {
  require(is_folder(root), ErrorCode::bad_file, "[{}] is not a folder, a Wan checkpoint folder was expected: {}",
          root.string(),
          is_file(root) ? "give the folder that holds the file" : "check the path or download the checkpoint");
  const std::string name = (root / "").parent_path().filename().string();
  const bool is_part = (name == high_folder || name == low_folder) && !is_file(root / text_encoder_name);
  require(!is_part, ErrorCode::bad_file, "[{}] is one part of a checkpoint: give the folder above it", root.string());
}

void add_file(Fingerprint& fingerprint, const fs::path& path) {
  const auto file = MappedFile::open(path);
  fingerprint.add(file->size());
  fingerprint.add(file->read(0, std::min(file->size(), max_hashed_bytes)));
}

}  // namespace

struct LazyTensors::State {
  std::function<TensorIndex()> open;
  std::mutex mutex;
  std::optional<TensorIndex> tensors;
};

LazyTensors::LazyTensors(std::function<TensorIndex()> open) : state_(std::make_shared<State>()) {
  state_->open = std::move(open);
}

const TensorIndex& LazyTensors::get() const {
  require(state_ != nullptr, ErrorCode::invalid_argument, "[checkpoint] these tensors were never opened");
  const std::lock_guard lock(state_->mutex);
  if (!state_->tensors) state_->tensors = state_->open();
  return *state_->tensors;
}

Checkpoint open_checkpoint(const fs::path& root) {
  check_root(root);
  Checkpoint out;
  Finder find(root);
  out.root = root;
  const bool any_expert = is_folder(root / high_folder) || is_folder(root / low_folder);
  const bool at_root = !any_expert && is_file(root / "config.json");
  require(any_expert || at_root || is_file(root / text_encoder_name), ErrorCode::bad_file,
          "[{}] is not a Wan checkpoint: expected {}/ and {}/ (A14B), or config.json and "
          "diffusion_pytorch_model*.safetensors "
          "(5B), next to {}",
          root.string(), high_folder, low_folder, text_encoder_name);

  out.two_experts = any_expert || !at_root;
  if (out.two_experts) {
    out.high_noise = find.dit(root / high_folder);
    out.low_noise = find.dit(root / low_folder);
  } else {
    out.high_noise = out.low_noise = find.dit(root);
  }
  out.text_encoder = find.torch_file(root / text_encoder_name);
  const bool has21 = is_file(root / vae21_name);
  const bool has22 = is_file(root / vae22_name);
  const bool take22 = out.two_experts ? has22 && !has21 : has22 || !has21;
  out.vae_version = take22 ? VaeVersion::v2_2 : VaeVersion::v2_1;
  out.vae = find.torch_file(root / (take22 ? vae22_name : vae21_name));
  out.tokenizer = find.file(root / tokenizer_name);
  find.finish();
  return out;
}

std::string Checkpoint::fingerprint() const {
  Fingerprint out;
  out.add(int64_t{two_experts});
  add_file(out, high_noise.config);
  out.add(high_noise.tensors.get());
  if (two_experts) {
    add_file(out, low_noise.config);
    out.add(low_noise.tensors.get());
  }
  out.add(text_encoder.get());
  out.add(vae.get());
  add_file(out, tokenizer);
  return out.hex();
}

}  // namespace wan::io
