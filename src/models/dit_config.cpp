#include "core/error.h"
#include "models/dit.h"
#include "models/infer.h"

namespace wan::models {

DitConfig infer_dit_config(const weights::ShapeOf& shape_of, const DitHints& hints, const std::string& where) {
  const ShapeReader read{shape_of, where};
  const Shape patch = read("patch_embedding.weight", 5);
  const Shape head = read("head.head.weight", 2);

  DitConfig cfg;
  cfg.dim = patch[0];
  cfg.in_channels = patch[1];
  cfg.patch = {patch[2], patch[3], patch[4]};
  cfg.text_dim = read("text_embedding.0.weight", 2)[1];
  cfg.freq_dim = read("time_embedding.0.weight", 2)[1];
  cfg.ffn_dim = read("blocks.0.ffn.0.weight", 2)[0];
  cfg.layers = read.count("blocks.", ".modulation");
  cfg.heads = hints.heads;
  cfg.text_len = hints.text_len;
  cfg.eps = hints.eps;

  require(head[0] % cfg.patch_volume() == 0, ErrorCode::bad_file,
          "[{}] head.head.weight has {} rows, expected a multiple of the patch volume {}", where, head[0],
          cfg.patch_volume());
  cfg.out_channels = head[0] / cfg.patch_volume();
  require(cfg.in_channels >= cfg.out_channels, ErrorCode::bad_file,
          "[{}] the model takes {} channels and gives {}; expected at least as many in as out", where, cfg.in_channels,
          cfg.out_channels);
  require(cfg.freq_dim % 2 == 0, ErrorCode::bad_file,
          "[{}] time_embedding.0.weight takes {} frequencies, expected an even number", where, cfg.freq_dim);
  require(cfg.heads > 0 && cfg.dim % cfg.heads == 0 && cfg.head_dim() % 2 == 0, ErrorCode::bad_file,
          "[{}] config.json says {} heads for a width of {}; expected a divisor that leaves an even head size", where,
          cfg.heads, cfg.dim);
  return cfg;
}

}  // namespace wan::models
