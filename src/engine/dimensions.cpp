#include "engine/dimensions.h"

#include "engine/models_on_disk.h"

namespace wan::engine {
namespace {

constexpr int64_t text_width = 4096;

models::DitConfig dit(int64_t dim, int64_t ffn_dim, int64_t heads, int64_t layers, int64_t in, int64_t out) {
  models::DitConfig c;
  c.dim = dim;
  c.ffn_dim = ffn_dim;
  c.heads = heads;
  c.layers = layers;
  c.in_channels = in;
  c.out_channels = out;
  c.text_dim = text_width;
  return c;
}

models::Umt5Config umt5_xxl() {
  models::Umt5Config c;
  c.vocabulary = 256384;
  c.dim = c.attention_dim = text_width;
  c.ffn_dim = 10240;
  c.heads = 64;
  c.layers = 24;
  return c;
}

models::VaeConfig vae_21() {
  models::VaeConfig c;
  c.version = models::VaeVersion::v21;
  c.z_dim = 16;
  c.down = {{96, 96, 2, true, false}, {96, 192, 2, true, true}, {192, 384, 2, true, true}, {384, 384, 2}};
  c.up = {{384, 384, 3, true, true}, {192, 384, 3, true, true}, {192, 192, 3, true, false}, {96, 96, 3}};
  return c;
}

models::VaeConfig vae_22() {
  models::VaeConfig c;
  c.version = models::VaeVersion::v22;
  c.z_dim = 48;
  c.patch = 2;
  c.down = {{160, 160, 2, true, false}, {160, 320, 2, true, true}, {320, 640, 2, true, true}, {640, 640, 2}};
  c.up = {{1024, 1024, 3, true, true}, {1024, 1024, 3, true, true}, {1024, 512, 3, true, false}, {512, 256, 3}};
  return c;
}

}  // namespace

Dimensions official_dimensions(Task task) {
  switch (task) {
    case Task::t2v_A14B: return {dit(5120, 13824, 40, 40, 16, 16), umt5_xxl(), vae_21()};
    case Task::i2v_A14B: return {dit(5120, 13824, 40, 40, 36, 16), umt5_xxl(), vae_21()};
    case Task::ti2v_5B: return {dit(3072, 14336, 24, 30, 48, 48), umt5_xxl(), vae_22()};
  }
  return {};
}

Dimensions checkpoint_dimensions(const std::filesystem::path& ckpt_dir, Task task) {
  const ModelsOnDisk models(ckpt_dir, task);
  return {models.dit_config(), models.umt5_config(), models.vae_config()};
}

}  // namespace wan::engine
