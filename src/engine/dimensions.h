#pragma once
#include <filesystem>

#include "models/dit.h"
#include "models/umt5.h"
#include "models/vae.h"
#include "wan/types.h"

namespace wan::engine {

/// The models of one task.
struct Dimensions {
  models::DitConfig dit;
  models::Umt5Config t5;
  models::VaeConfig vae;
  int64_t width_step() const noexcept { return vae.stride_s() * dit.patch[2]; }
  int64_t height_step() const noexcept { return vae.stride_s() * dit.patch[1]; }
};

/// Those of the official checkpoints.
Dimensions official_dimensions(Task task);

/// Those of a checkpoint folder. Throws as Engine::open does.
Dimensions checkpoint_dimensions(const std::filesystem::path& ckpt_dir, Task task);

}  // namespace wan::engine
