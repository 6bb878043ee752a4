#include "io/tensor_names.h"

#include <fmt/format.h>

#include <cctype>
#include <utility>

namespace wan::io {
namespace {

using Pair = std::pair<const char*, const char*>;

class Rows {
 public:
  void weight(const std::string& official, const std::string& diffusers, bool exact = false) {
    rows_.push_back({official, diffusers, exact});
  }
  void linear(const std::string& official, const std::string& diffusers, bool exact = false) {
    weight(official + ".weight", diffusers + ".weight", exact);
    weight(official + ".bias", diffusers + ".bias", true);
  }
  std::vector<TensorName> take() { return std::move(rows_); }

 private:
  std::vector<TensorName> rows_;
};

std::vector<TensorName> dit_rows() {
  Rows rows;
  rows.linear("patch_embedding", "patch_embedding");
  rows.linear("text_embedding.0", "condition_embedder.text_embedder.linear_1");
  rows.linear("text_embedding.2", "condition_embedder.text_embedder.linear_2");
  rows.linear("time_embedding.0", "condition_embedder.time_embedder.linear_1", true);
  rows.linear("time_embedding.2", "condition_embedder.time_embedder.linear_2", true);
  rows.linear("time_projection.1", "condition_embedder.time_proj", true);
  rows.linear("head.head", "proj_out", true);
  rows.weight("head.modulation", "scale_shift_table", true);
  rows.weight("blocks.#.modulation", "blocks.#.scale_shift_table", true);
  for (const auto& [official, diffusers] : {Pair{"self_attn", "attn1"}, Pair{"cross_attn", "attn2"}}) {
    const std::string o = fmt::format("blocks.#.{}.", official), d = fmt::format("blocks.#.{}.", diffusers);
    for (const auto& [from, to] : {Pair{"q", "to_q"}, Pair{"k", "to_k"}, Pair{"v", "to_v"}, Pair{"o", "to_out.0"}})
      rows.linear(o + from, d + to);
    for (const char* norm : {"norm_q.weight", "norm_k.weight"}) rows.weight(o + norm, d + norm, true);
  }
  // diffusers counts the norms in the order of their use, upstream gives the one before cross-attention the last
  // number.
  rows.linear("blocks.#.norm3", "blocks.#.norm2", true);
  rows.linear("blocks.#.ffn.0", "blocks.#.ffn.net.0.proj");
  rows.linear("blocks.#.ffn.2", "blocks.#.ffn.net.2");
  return rows.take();
}

std::vector<TensorName> umt5_rows() {
  Rows rows;
  rows.weight("token_embedding.weight", "shared.weight");
  rows.weight("norm.weight", "encoder.final_layer_norm.weight", true);
  const std::string attention = "encoder.block.#.layer.0.", feed_forward = "encoder.block.#.layer.1.";
  for (const char* matrix : {"q", "k", "v", "o"})
    rows.weight(fmt::format("blocks.#.attn.{}.weight", matrix),
                fmt::format("{}SelfAttention.{}.weight", attention, matrix));
  rows.weight("blocks.#.pos_embedding.embedding.weight", attention + "SelfAttention.relative_attention_bias.weight",
              true);
  rows.weight("blocks.#.norm1.weight", attention + "layer_norm.weight", true);
  rows.weight("blocks.#.norm2.weight", feed_forward + "layer_norm.weight", true);
  for (const auto& [from, to] : {Pair{"gate.0", "wi_0"}, Pair{"fc1", "wi_1"}, Pair{"fc2", "wo"}})
    rows.weight(fmt::format("blocks.#.ffn.{}.weight", from),
                fmt::format("{}DenseReluDense.{}.weight", feed_forward, to));
  return rows.take();
}

void add_residual(Rows& rows, const std::string& official, const std::string& diffusers) {
  rows.weight(official + "residual.0.gamma", diffusers + "norm1.gamma", true);
  rows.linear(official + "residual.2", diffusers + "conv1");
  rows.weight(official + "residual.3.gamma", diffusers + "norm2.gamma", true);
  rows.linear(official + "residual.6", diffusers + "conv2");
  rows.linear(official + "shortcut", diffusers + "conv_shortcut");
}

void add_resample(Rows& rows, const std::string& official, const std::string& diffusers) {
  rows.linear(official + "resample.1", diffusers + "resample.1");
  rows.linear(official + "time_conv", diffusers + "time_conv");
}

// Stages have two (encoder) or three (decoder) residual blocks, in every Wan VAE and in diffusers' counting.
constexpr int stages = 4, encoder_blocks = 2, decoder_blocks = 3;

// 2.1 counts residual blocks and resamplings through, and so does diffusers in its encoder.
void add_stages_21(Rows& rows) {
  for (int i = 0; i < stages * (encoder_blocks + 1) - 1; ++i) {
    const std::string o = fmt::format("encoder.downsamples.{}.", i), d = fmt::format("encoder.down_blocks.{}.", i);
    if (i % (encoder_blocks + 1) == encoder_blocks)
      add_resample(rows, o, d);
    else
      add_residual(rows, o, d);
  }
  for (int i = 0; i < stages; ++i) {
    const int first = i * (decoder_blocks + 1);
    for (int j = 0; j < decoder_blocks; ++j)
      add_residual(rows, fmt::format("decoder.upsamples.{}.", first + j),
                   fmt::format("decoder.up_blocks.{}.resnets.{}.", i, j));
    add_resample(rows, fmt::format("decoder.upsamples.{}.", first + decoder_blocks),
                 fmt::format("decoder.up_blocks.{}.upsamplers.0.", i));
  }
}

void add_stages_22(Rows& rows) {
  for (int i = 0; i < stages; ++i) {
    const std::string down = fmt::format("encoder.downsamples.{}.downsamples.", i);
    for (int j = 0; j < encoder_blocks; ++j)
      add_residual(rows, fmt::format("{}{}.", down, j), fmt::format("encoder.down_blocks.{}.resnets.{}.", i, j));
    add_resample(rows, fmt::format("{}{}.", down, encoder_blocks),
                 fmt::format("encoder.down_blocks.{}.downsampler.", i));
    const std::string up = fmt::format("decoder.upsamples.{}.upsamples.", i);
    for (int j = 0; j < decoder_blocks; ++j)
      add_residual(rows, fmt::format("{}{}.", up, j), fmt::format("decoder.up_blocks.{}.resnets.{}.", i, j));
    add_resample(rows, fmt::format("{}{}.", up, decoder_blocks), fmt::format("decoder.up_blocks.{}.upsampler.", i));
  }
}

std::vector<TensorName> vae_rows(ModelPart part) {
  Rows rows;
  rows.linear("conv1", "quant_conv");
  rows.linear("conv2", "post_quant_conv");
  for (const std::string side : {"encoder.", "decoder."}) {
    rows.linear(side + "conv1", side + "conv_in");
    add_residual(rows, side + "middle.0.", side + "mid_block.resnets.0.");
    add_residual(rows, side + "middle.2.", side + "mid_block.resnets.1.");
    const std::string o = side + "middle.1.", d = side + "mid_block.attentions.0.";
    rows.weight(o + "norm.gamma", d + "norm.gamma", true);
    rows.linear(o + "to_qkv", d + "to_qkv");
    rows.linear(o + "proj", d + "proj");
    rows.weight(side + "head.0.gamma", side + "norm_out.gamma", true);
    rows.linear(side + "head.2", side + "conv_out");
  }
  if (part == ModelPart::vae21)
    add_stages_21(rows);
  else
    add_stages_22(rows);
  return rows.take();
}

std::vector<TensorName> rows_of(ModelPart part) {
  switch (part) {
    case ModelPart::dit: return dit_rows();
    case ModelPart::umt5: return umt5_rows();
    case ModelPart::vae21:
    case ModelPart::vae22: return vae_rows(part);
  }
  return {};
}

// "blocks.12.modulation": "blocks.#.modulation" and "12". The number is the first part of digits behind "block.".
struct Numbered {
  std::string name, number;
};

Numbered take_number(std::string_view name) {
  for (const std::string_view before : {"encoder.block.", "blocks."}) {
    if (!name.starts_with(before)) continue;
    size_t end = before.size();
    while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end])) != 0) ++end;
    const std::string_view number = name.substr(before.size(), end - before.size());
    if (number.empty() || (number.size() > 1 && number[0] == '0')) break;
    return {fmt::format("{}#{}", before, name.substr(end)), std::string(number)};
  }
  return {std::string(name), {}};
}

std::string put_number(std::string name, const std::string& number) {
  const size_t at = name.find('#');
  return at == std::string::npos ? name : name.replace(at, 1, number);
}

}  // namespace

TensorNames::TensorNames(ModelPart part) : rows_(rows_of(part)) {
  for (size_t i = 0; i < rows_.size(); ++i) {
    official_.emplace(rows_[i].official, i);
    diffusers_.emplace(rows_[i].diffusers, i);
  }
}

std::optional<std::string> TensorNames::translate(std::string_view name, Naming from, Naming to) const {
  const Numbered numbered = take_number(name);
  const Index& names = index(from);
  const auto found = names.find(numbered.name);
  if (found == names.end() || name.find('#') != std::string_view::npos) return std::nullopt;
  const TensorName& row = rows_[found->second];
  return put_number(to == Naming::official ? row.official : row.diffusers, numbered.number);
}

DType TensorNames::bf16_type(std::string_view official, DType own) const {
  const bool floating = own == DType::f32 || own == DType::f16 || own == DType::f64;
  const auto found = official_.find(take_number(official).name);
  return floating && found != official_.end() && !rows_[found->second].exact ? DType::bf16 : own;
}

TensorIndex with_official_names(const TensorIndex& diffusers, ModelPart part) {
  // The same matrix twice in a UMT5EncoderModel; files have one of the two names, or both.
  constexpr std::string_view tied = "encoder.embed_tokens.weight", shared = "shared.weight";
  const TensorNames names(part);
  TensorIndex out(diffusers.label());
  for (const auto& [name, entry] : diffusers.entries()) {
    std::string_view known = name;
    if (part == ModelPart::umt5 && name == tied) {
      if (diffusers.find(shared) != nullptr) continue;
      known = shared;
    }
    TensorEntry renamed = entry;
    if (auto official = names.translate(known, Naming::diffusers, Naming::official))
      renamed.name = std::move(*official);
    out.add(std::move(renamed));
  }
  return out;
}

}  // namespace wan::io
