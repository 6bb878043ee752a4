#include "engine/models_on_disk.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "io/json.h"

namespace wan::engine {
models::DitConfig read_dit_config(const io::DitFiles& files) {
  const std::string where = files.config.string();
  const nlohmann::json json = io::read_json_file(files.config);
  const io::JsonReader config(json, where);
  models::DitHints hints;
  // The second as diffusers' WanTransformer3DModel says it.
  hints.heads = config.positive_int(config.has("num_attention_heads") ? "num_attention_heads" : "num_heads");
  hints.text_len = config.positive_int("text_len", hints.text_len);
  hints.eps = static_cast<float>(config.positive_number("eps", 1e-6));
  return models::infer_dit_config(weights::shape_of(files.tensors.get()), hints, files.tensors.get().label());
}

namespace {

std::vector<std::vector<weights::WeightSpec>> dit_block_specs(const models::DitConfig& config) {
  return weights::block_specs<models::DitBlockWeights>(config, config.layers, "blocks.");
}

Task task_of(const io::Checkpoint& files, const models::DitConfig& dit) {
  if (!files.two_experts) return Task::ti2v_5B;
  return dit.in_channels > dit.out_channels ? Task::i2v_A14B : Task::t2v_A14B;
}

/// A size such as "128*128" or "128x128".
std::pair<int, int> parse_size(const std::string& text, const std::string& where) {
  int width = 0, height = 0, end = 0;
  const bool ok = std::sscanf(text.c_str(), "%d%*1[*x]%d%n", &width, &height, &end) == 2 &&
                  end == static_cast<int>(text.size()) && width > 0 && height > 0;
  require(ok, ErrorCode::bad_file, "[{}] 'size' is '{}', expected WIDTH*HEIGHT", where, text);
  return {width, height};
}

/// One number, or [low noise, high noise].
std::pair<double, double> parse_guidance(const nlohmann::json& value, const std::string& where) {
  if (value.is_number()) return {value.get<double>(), value.get<double>()};
  require(value.is_array() && value.size() == 2 && value[0].is_number() && value[1].is_number(), ErrorCode::bad_file,
          "[{}] 'sample_guide_scale' is {}, expected a number or [low noise, high noise]", where, value.dump());
  return {value[0].get<double>(), value[1].get<double>()};
}

}  // namespace

LoadedDit::LoadedDit(const io::TensorIndex& index, const models::DitConfig& config, const weights::Policy& policy)
    : outer_(index, weights::specs_of<models::DitOuterWeights>(config, ""), policy),
      blocks_(std::make_unique<weights::FileBlocks>(index, dit_block_specs(config), policy, weights::Residency::keep)),
      dit_{config, weights::bind<models::DitOuterWeights>(outer_.tensors(), config), blocks_.get()} {}

LoadedDit::LoadedDit(const io::TensorIndex& index, const models::DitConfig& config, const weights::Policy& policy,
                     weights::BlockPool& pool, const weights::StreamedBlocks::Counts& counts)
    : outer_(index, weights::specs_of<models::DitOuterWeights>(config, ""), policy) {
  auto streamed = std::make_unique<weights::StreamedBlocks>(index, dit_block_specs(config), policy, pool, counts);
  streamed_ = streamed.get();
  blocks_ = std::move(streamed);
  dit_ = {config, weights::bind<models::DitOuterWeights>(outer_.tensors(), config), blocks_.get()};
}

LoadedDit::LoadedDit(const io::TensorIndex& index, const models::DitConfig& config, const weights::Policy& policy,
                     weights::BlockPool& pool, const weights::StreamedBlocks::Counts& counts,
                     weights::GatherPool& gathered)
    : outer_(index, weights::specs_of<models::DitOuterWeights>(config, ""), policy) {
  auto sharded =
      std::make_unique<weights::ShardedBlocks>(index, dit_block_specs(config), policy, pool, counts, gathered);
  sharded_ = sharded.get();
  blocks_ = std::move(sharded);
  dit_ = {config, weights::bind<models::DitOuterWeights>(outer_.tensors(), config), blocks_.get()};
}

weights::HostBlocks* LoadedDit::host() const noexcept {
  if (sharded_) return &sharded_->shards().host();
  return streamed_ ? &streamed_->host() : nullptr;
}

void LoadedDit::announce(LoadedDit& next) noexcept {
  if (sharded_) sharded_->announce(*next.sharded_);
  if (streamed_) streamed_->announce(*next.streamed_);
}

LoadedUmt5::LoadedUmt5(const io::TensorIndex& index, const models::Umt5Config& config, const weights::Policy& policy,
                       weights::CopyQueue* copies)
    : outer_(index, weights::specs_of<models::Umt5OuterWeights>(config, ""), policy) {
  auto specs = weights::block_specs<models::Umt5BlockWeights>(config, config.layers, "blocks.");
  if (copies) {
    constexpr int64_t places = 2;
    pool_ = std::make_unique<weights::BlockPool>(
        *policy.memory, *copies, weights::StreamedBlocks::place_bytes(index, specs, policy.compute), places);
    blocks_ = std::make_unique<weights::StreamedBlocks>(index, std::move(specs), policy, *pool_,
                                                        weights::StreamedBlocks::Counts{});
  } else {
    blocks_ = std::make_unique<weights::FileBlocks>(index, std::move(specs), policy, weights::Residency::transient);
  }
  model_ = {config, weights::bind<models::Umt5OuterWeights>(outer_.tensors(), config), blocks_.get()};
}

ModelsOnDisk::ModelsOnDisk(const std::filesystem::path& ckpt_dir, std::optional<Task> task)
    : files_(io::open_checkpoint(ckpt_dir)) {
  high_ = read_dit_config(files_.high_noise);
  low_ = files_.two_experts ? read_dit_config(files_.low_noise) : high_;
  umt5_ = models::infer_umt5_config(weights::shape_of(files_.text_encoder.get()), files_.text_encoder.get().label());
  vae_ = models::infer_vae_config(weights::shape_of(files_.vae.get()), files_.vae.get().label());
  task_ = task_of(files_, high_);
  require(!task || *task == task_, ErrorCode::invalid_argument,
          "[--task {}] the checkpoint in {} is one for {}; leave --task out, or give the other checkpoint's folder",
          to_string(*task), ckpt_dir.string(), to_string(task_));
  check_fit();
  defaults_ = pipeline::defaults_of(task_);
  read_generation_defaults();
}

void ModelsOnDisk::check_fit() const {
  std::vector<std::string> problems;
  const auto check_dit = [&](const io::DitFiles& files, const models::DitConfig& config) {
    const io::TensorIndex& index = files.tensors.get();
    weights::check_specs(index, weights::specs_of<models::DitOuterWeights>(config, ""), problems);
    weights::check_specs(index, weights::specs_of<models::DitConditioningWeights>(config, ""), problems);
    for (const auto& specs : dit_block_specs(config)) weights::check_specs(index, specs, problems);
  };
  check_dit(files_.high_noise, high_);
  if (files_.two_experts) check_dit(files_.low_noise, low_);
  const io::TensorIndex& text = files_.text_encoder.get();
  weights::check_specs(text, weights::specs_of<models::Umt5OuterWeights>(umt5_, ""), problems);
  for (const auto& specs : weights::block_specs<models::Umt5BlockWeights>(umt5_, umt5_.layers, "blocks."))
    weights::check_specs(text, specs, problems);
  weights::check_specs(files_.vae.get(), weights::specs_of<models::VaeDecoderWeights>(vae_, ""), problems);
  weights::check_specs(files_.vae.get(), weights::specs_of<models::VaeEncoderWeights>(vae_, ""), problems);

  const auto agree = [&](const char* what, int64_t a, int64_t b, const char* other) {
    if (a != b) problems.push_back(fmt::format("{} is {}, but {} {}", what, a, other, b));
  };
  for (const models::DitConfig* dit : {&high_, &low_}) {
    agree("the transformer's text width", dit->text_dim, umt5_.dim, "the text encoder gives");
    agree("the transformer's output channels", dit->out_channels, vae_.z_dim, "the VAE's latents have");
    const int64_t condition = task_ == Task::i2v_A14B ? 4 + vae_.z_dim : 0;
    agree("the transformer's input channels", dit->in_channels, vae_.z_dim + condition, "this task feeds");
  }
  weights::throw_if_any(problems, files_.root.string());
}

void ModelsOnDisk::read_generation_defaults() {
  const std::filesystem::path path = files_.root / "generation.json";
  if (!std::filesystem::exists(path)) return;
  const nlohmann::json json = io::read_json_file(path);
  const io::JsonReader read(json, path.string());
  if (read.has("size")) std::tie(defaults_.width, defaults_.height) = parse_size(read.string("size"), path.string());
  defaults_.frames = static_cast<int>(read.positive_int("frame_num", defaults_.frames));
  defaults_.steps = static_cast<int>(read.positive_int("sample_steps", defaults_.steps));
  defaults_.shift = read.positive_number("sample_shift", defaults_.shift);
  defaults_.fps = read.positive_number("fps", defaults_.fps);
  if (const auto guidance = json.find("sample_guide_scale"); guidance != json.end())
    std::tie(defaults_.guidance_low, defaults_.guidance_high) = parse_guidance(*guidance, path.string());
  defaults_.negative_prompt = read.string("negative_prompt", defaults_.negative_prompt);
  if (read.has("sample_solver")) defaults_.solver = parse_solver(read.string("sample_solver"));
}

const io::TensorIndex& ModelsOnDisk::dit_files(pipeline::Expert expert) const {
  return (expert == pipeline::Expert::low ? files_.low_noise : files_.high_noise).tensors.get();
}

std::unique_ptr<LoadedDit> ModelsOnDisk::load_dit(pipeline::Expert expert, const weights::Policy& policy) const {
  return std::make_unique<LoadedDit>(dit_files(expert), dit_config(expert), policy);
}

std::unique_ptr<LoadedDit> ModelsOnDisk::load_dit(pipeline::Expert expert, const weights::Policy& policy,
                                                  weights::BlockPool& pool,
                                                  const weights::StreamedBlocks::Counts& counts,
                                                  weights::GatherPool* gathered) const {
  if (gathered)
    return std::make_unique<LoadedDit>(dit_files(expert), dit_config(expert), policy, pool, counts, *gathered);
  return std::make_unique<LoadedDit>(dit_files(expert), dit_config(expert), policy, pool, counts);
}

int64_t ModelsOnDisk::block_place_bytes(DType compute, const weights::Shard& shard) const {
  const auto of = [&](pipeline::Expert expert) {
    return weights::StreamedBlocks::place_bytes(dit_files(expert), dit_block_specs(dit_config(expert)), compute, shard);
  };
  const int64_t high = of(pipeline::Expert::high);
  return files_.two_experts ? std::max(high, of(pipeline::Expert::low)) : high;
}

weights::WeightSet ModelsOnDisk::load_conditioning(pipeline::Expert expert, const weights::Policy& policy) const {
  return {dit_files(expert), weights::specs_of<models::DitConditioningWeights>(dit_config(expert), ""), policy};
}

std::unique_ptr<LoadedUmt5> ModelsOnDisk::load_umt5(const weights::Policy& policy, weights::CopyQueue* copies) const {
  return std::make_unique<LoadedUmt5>(files_.text_encoder.get(), umt5_, policy, copies);
}

weights::WeightSet ModelsOnDisk::load_vae_encoder(const weights::Policy& policy) const {
  return {files_.vae.get(), weights::specs_of<models::VaeEncoderWeights>(vae_, ""), policy};
}

weights::WeightSet ModelsOnDisk::load_vae_decoder(const weights::Policy& policy) const {
  return {files_.vae.get(), weights::specs_of<models::VaeDecoderWeights>(vae_, ""), policy};
}

}  // namespace wan::engine
