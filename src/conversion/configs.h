#pragma once
#include <string>

#include "engine/models_on_disk.h"

/// The JSON files beside the weights, as upstream and diffusers (0.42) write them, from what the tensors' shapes say.
namespace wan::conversion {

/// WanModel's config.json.
std::string official_dit_config(const models::DitConfig& config, Task task);
/// WanTransformer3DModel's.
std::string diffusers_dit_config(const models::DitConfig& config);
/// AutoencoderKLWan's. Throws unsupported for stages that it cannot describe, bad_file as latent_statistics() does.
std::string diffusers_vae_config(const models::VaeConfig& config);
/// UMT5EncoderModel's; `tensors` tells the type.
std::string diffusers_text_config(const models::Umt5Config& config, const io::TensorIndex& tensors);
/// UniPCMultistepScheduler's, with the checkpoint's own shift.
std::string diffusers_scheduler_config(const engine::ModelsOnDisk& models);
/// WanPipeline's or WanImageToVideoPipeline's model_index.json.
std::string diffusers_model_index(const engine::ModelsOnDisk& models);

}  // namespace wan::conversion
