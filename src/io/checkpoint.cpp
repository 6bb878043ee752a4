#include "io/checkpoint.h"

#include <fmt/ranges.h>

#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "io/fingerprint.h"
#include "io/json.h"
#include "io/safetensors_set.h"
#include "io/torch_file.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;

constexpr LayoutNames official{.high = "high_noise_model",
                               .low = "low_noise_model",
                               .only = "",
                               .text_encoder = "models_t5_umt5-xxl-enc-bf16.pth",
                               .vae21 = "Wan2.1_VAE.pth",
                               .vae22 = "Wan2.2_VAE.pth",
                               .tokenizer = "google/umt5-xxl"};
// WanPipeline denoises with `transformer` above the boundary, and with `transformer_2` below it.
constexpr LayoutNames diffusers{.high = "transformer",
                                .low = "transformer_2",
                                .only = "transformer",
                                .text_encoder = "text_encoder",
                                .vae21 = "vae",
                                .vae22 = "vae",
                                .tokenizer = "tokenizer"};
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

  DitFiles dit(const fs::path& folder, Naming naming) {
    if (!is_folder(folder)) {
      missing_.push_back(folder.string() + "/ (config.json and diffusion_pytorch_model*.safetensors)");
      return {};
    }
    DitFiles out;
    out.config = file(folder / "config.json");
    out.tensors = safetensors(folder, dit_stem, naming, ModelPart::dit);
    return out;
  }

  LazyTensors safetensors(const fs::path& folder, const char* stem, Naming naming, ModelPart part) {
    SafetensorsSet set = find_safetensors(folder, stem);
    missing_.insert(missing_.end(), set.missing.begin(), set.missing.end());
    return LazyTensors([set = std::move(set), naming, part] {
      TensorIndex tensors = open_safetensors_set(set);
      return naming == Naming::official ? tensors : with_official_names(tensors, part);
    });
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
  const fs::path above = (root / "").parent_path().parent_path();
  const bool is_part = ((name == official.high || name == official.low) && !is_file(root / official.text_encoder)) ||
                       ((name == diffusers.high || name == diffusers.low) && is_file(above / model_index_file));
  require(!is_part, ErrorCode::bad_file, "[{}] is one part of a checkpoint: give the folder above it", root.string());
}

void add_file(Fingerprint& fingerprint, const fs::path& path) {
  const auto file = MappedFile::open(path);
  fingerprint.add(file->size());
  fingerprint.add(file->read(0, std::min(file->size(), max_hashed_bytes)));
}

Checkpoint open_official(const fs::path& root) {
  Checkpoint out;
  Finder find(root);
  out.root = root;
  const bool any_expert = is_folder(root / official.high) || is_folder(root / official.low);
  const bool at_root = !any_expert && is_file(root / "config.json");
  require(any_expert || at_root || is_file(root / official.text_encoder), ErrorCode::bad_file,
          "[{}] is not a Wan checkpoint: expected {}/ and {}/ (A14B), or config.json and "
          "diffusion_pytorch_model*.safetensors (5B), next to {}; or {} (diffusers)",
          root.string(), official.high, official.low, official.text_encoder, model_index_file);

  out.two_experts = any_expert || !at_root;
  if (out.two_experts) {
    out.high_noise = find.dit(root / official.high, Naming::official);
    out.low_noise = find.dit(root / official.low, Naming::official);
  } else {
    out.high_noise = out.low_noise = find.dit(root, Naming::official);
  }
  out.text_encoder = find.torch_file(root / official.text_encoder);
  const bool has21 = is_file(root / official.vae21);
  const bool has22 = is_file(root / official.vae22);
  const bool take22 = out.two_experts ? has22 && !has21 : has22 || !has21;
  out.vae_version = take22 ? VaeVersion::v2_2 : VaeVersion::v2_1;
  out.vae = find.torch_file(root / (take22 ? official.vae22 : official.vae21));
  out.tokenizer = find.file(root / official.tokenizer / tokenizer_file);
  find.finish();
  return out;
}

// Pipelines that have no second transformer say so: "transformer_2": [null, null].
bool has_second_transformer(const fs::path& root) {
  if (is_folder(root / diffusers.low) || !is_file(root / model_index_file)) return is_folder(root / diffusers.low);
  const nlohmann::json index = read_json_file(root / model_index_file);
  const auto second = index.find(diffusers.low);
  return second != index.end() && second->is_array() && !second->empty() && !second->front().is_null();
}

// AutoencoderKLWan says by "is_residual" that it is Wan2.2's.
VaeVersion diffusers_vae_version(const fs::path& config) {
  if (!is_file(config)) return VaeVersion::v2_1;
  const nlohmann::json json = read_json_file(config);
  return JsonReader(json, config.string()).boolean("is_residual", false) ? VaeVersion::v2_2 : VaeVersion::v2_1;
}

Checkpoint open_diffusers(const fs::path& root) {
  Checkpoint out;
  Finder find(root);
  out.root = root;
  out.layout = Naming::diffusers;
  find.file(root / model_index_file);
  out.two_experts = has_second_transformer(root);
  out.high_noise = find.dit(root / diffusers.high, Naming::diffusers);
  out.low_noise = out.two_experts ? find.dit(root / diffusers.low, Naming::diffusers) : out.high_noise;
  out.text_encoder =
      find.safetensors(root / diffusers.text_encoder, diffusers_text_stem, Naming::diffusers, ModelPart::umt5);
  const fs::path vae = root / diffusers.vae21;
  out.vae_version = diffusers_vae_version(find.file(vae / "config.json"));
  const ModelPart part = out.vae_version == VaeVersion::v2_2 ? ModelPart::vae22 : ModelPart::vae21;
  out.vae = find.safetensors(vae, dit_stem, Naming::diffusers, part);
  out.tokenizer = find.file(root / diffusers.tokenizer / tokenizer_file);
  find.finish();
  return out;
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

const LayoutNames& layout_names(Naming layout) noexcept { return layout == Naming::official ? official : diffusers; }

Checkpoint open_checkpoint(const fs::path& root) {
  check_root(root);
  return is_file(root / model_index_file) || is_folder(root / diffusers.high) ? open_diffusers(root)
                                                                              : open_official(root);
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
