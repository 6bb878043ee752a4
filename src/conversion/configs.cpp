#include "conversion/configs.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"

namespace wan::conversion {
namespace {

using json = nlohmann::ordered_json;

// The version whose readers these files were tested with.
constexpr const char* diffusers_version = "0.42.0";

std::string text_of(const json& value) { return value.dump(2) + "\n"; }

// 1e-06 and not 9.999999974752427e-07.
double shortest(float value) { return std::stod(fmt::format("{}", value)); }

std::vector<double> shortest(std::span<const float> values) {
  std::vector<double> out;
  for (const float v : values) out.push_back(shortest(v));
  return out;
}

const char* model_type(Task task) {
  switch (task) {
    case Task::t2v_A14B: return "t2v";
    case Task::i2v_A14B: return "i2v";
    case Task::ti2v_5B: return "ti2v";
  }
  return "?";
}

// Widths as multiples of the finest stage's, which is how AutoencoderKLWan describes them.
json multiples(const models::VaeConfig& c) {
  const int64_t base = c.down.front().in, decoder_base = c.up.back().out;
  json out = json::array();
  for (size_t i = 0; i < c.down.size(); ++i) {
    const int64_t width = c.down[i].out, up = c.up[c.up.size() - 1 - i].out;
    require(
        width % base == 0 && width / base * decoder_base == up, ErrorCode::unsupported,
        "[convert] the VAE has {} (encoder) and {} (decoder) channels in stage {}; AutoencoderKLWan describes equal "
        "multiples of {} and {} alone",
        width, up, i, base, decoder_base);
    out.push_back(width / base);
  }
  return out;
}

}  // namespace

std::string official_dit_config(const models::DitConfig& c, Task task) {
  json out = {{"_class_name", "WanModel"}, {"_diffusers_version", "0.33.0"}, {"dim", c.dim},
              {"eps", shortest(c.eps)},    {"ffn_dim", c.ffn_dim},           {"freq_dim", c.freq_dim},
              {"in_dim", c.in_channels},   {"model_type", model_type(task)}, {"num_heads", c.heads},
              {"num_layers", c.layers},    {"out_dim", c.out_channels},      {"text_len", c.text_len}};
  constexpr int64_t usual_text_dim = 4096;  // WanModel's own; official files do not say it
  if (c.text_dim != usual_text_dim) out["text_dim"] = c.text_dim;
  return text_of(out);
}

std::string diffusers_dit_config(const models::DitConfig& c) {
  return text_of({{"_class_name", "WanTransformer3DModel"},
                  {"_diffusers_version", diffusers_version},
                  {"added_kv_proj_dim", nullptr},
                  {"attention_head_dim", c.head_dim()},
                  {"cross_attn_norm", true},
                  {"eps", shortest(c.eps)},
                  {"ffn_dim", c.ffn_dim},
                  {"freq_dim", c.freq_dim},
                  {"image_dim", nullptr},
                  {"in_channels", c.in_channels},
                  {"num_attention_heads", c.heads},
                  {"num_layers", c.layers},
                  {"out_channels", c.out_channels},
                  {"patch_size", c.patch},
                  {"pos_embed_seq_len", nullptr},
                  {"qk_norm", "rms_norm_across_heads"},
                  {"rope_max_seq_len", 1024},
                  {"text_dim", c.text_dim}});
}

std::string diffusers_vae_config(const models::VaeConfig& c) {
  const models::LatentStatistics statistics = models::latent_statistics(c.z_dim);
  const bool v22 = c.version == models::VaeVersion::v22;
  json down_in_time = json::array();
  for (size_t i = 0; i + 1 < c.down.size(); ++i) down_in_time.push_back(c.down[i].time);
  return text_of({{"_class_name", "AutoencoderKLWan"},
                  {"_diffusers_version", diffusers_version},
                  {"attn_scales", json::array()},
                  {"base_dim", c.down.front().in},
                  {"decoder_base_dim", v22 ? json(c.up.back().out) : json()},
                  {"dim_mult", multiples(c)},
                  {"dropout", 0.0},
                  {"in_channels", c.image_channels()},
                  {"is_residual", v22},
                  {"latents_mean", shortest(statistics.mean)},
                  {"latents_std", shortest(statistics.std)},
                  {"num_res_blocks", c.down.front().blocks},
                  {"out_channels", c.image_channels()},
                  {"patch_size", c.patch > 1 ? json(c.patch) : json()},
                  {"scale_factor_spatial", c.stride_s()},
                  {"scale_factor_temporal", c.stride_t()},
                  {"temperal_downsample", down_in_time},
                  {"z_dim", c.z_dim}});
}

std::string diffusers_text_config(const models::Umt5Config& c, const io::TensorIndex& tensors) {
  const DType dtype = tensors.at("token_embedding.weight").dtype;
  return text_of({{"architectures", {"UMT5EncoderModel"}},
                  {"classifier_dropout", 0.0},
                  {"d_ff", c.ffn_dim},
                  {"d_kv", c.attention_dim / c.heads},
                  {"d_model", c.dim},
                  {"decoder_start_token_id", 0},
                  {"dense_act_fn", "gelu_new"},
                  {"dropout_rate", 0.1},
                  {"eos_token_id", 1},
                  {"feed_forward_proj", "gated-gelu"},
                  {"initializer_factor", 1.0},
                  {"is_encoder_decoder", true},
                  {"is_gated_act", true},
                  {"layer_norm_epsilon", shortest(c.eps)},
                  {"model_type", "umt5"},
                  {"num_decoder_layers", c.layers},
                  {"num_heads", c.heads},
                  {"num_layers", c.layers},
                  {"output_past", true},
                  {"pad_token_id", 0},
                  {"relative_attention_max_distance", c.max_distance},
                  {"relative_attention_num_buckets", c.buckets},
                  {"scalable_attention", true},
                  {"tie_word_embeddings", false},
                  {"tokenizer_class", "T5Tokenizer"},
                  {"torch_dtype", dtype == DType::f32 ? "float32" : "bfloat16"},
                  {"use_cache", true},
                  {"vocab_size", c.vocabulary}});
}

std::string diffusers_scheduler_config(const engine::ModelsOnDisk& models) {
  return text_of({{"_class_name", "UniPCMultistepScheduler"},
                  {"_diffusers_version", diffusers_version},
                  {"flow_shift", models.defaults().shift},
                  {"num_train_timesteps", 1000},
                  {"prediction_type", "flow_prediction"},
                  {"predict_x0", true},
                  {"solver_order", 2},
                  {"solver_type", "bh2"},
                  {"use_flow_sigmas", true}});
}

std::string diffusers_model_index(const engine::ModelsOnDisk& models) {
  const json absent = {nullptr, nullptr}, transformer = {"diffusers", "WanTransformer3DModel"};
  const bool from_image = models.task() == Task::i2v_A14B, experts = models.files().two_experts;
  json out = {{"_class_name", from_image ? "WanImageToVideoPipeline" : "WanPipeline"},
              {"_diffusers_version", diffusers_version},
              {"boundary_ratio", experts ? json(models.defaults().boundary) : json()},
              {"expand_timesteps", !experts}};
  if (from_image) out["image_encoder"] = out["image_processor"] = absent;
  out["scheduler"] = {"diffusers", "UniPCMultistepScheduler"};
  out["text_encoder"] = {"transformers", "UMT5EncoderModel"};
  out["tokenizer"] = {"transformers", "T5TokenizerFast"};
  out["transformer"] = transformer;
  out["transformer_2"] = experts ? transformer : absent;
  out["vae"] = {"diffusers", "AutoencoderKLWan"};
  return text_of(out);
}

}  // namespace wan::conversion
