#pragma once
#include <map>
#include <memory>

#include "comm/communicator.h"
#include "core/context.h"
#include "engine/dit_store.h"
#include "engine/dump.h"
#include "engine/models_on_disk.h"
#include "engine/prepare.h"
#include "engine/reporter.h"
#include "engine/saved_run.h"
#include "engine/vae_bands.h"
#include "ops/elementwise.h"
#include "pipeline/image_condition.h"

/// One generation, stage by stage. Each stage frees what it needed before the next begins.
namespace wan::engine {

/// What stays loaded between generations of one engine, and how things are loaded.
struct LoadedModels {
  /// `dit`, `text`: policies of transformers and text encoder, `vae` of the VAE. The copy queues are those of their
  /// devices, or null where blocks are used in the host's memory. `sharding` is the transformers'.
  LoadedModels(const ModelsOnDisk& models, const weights::Policy& vae, const weights::Policy& text,
               const weights::Policy& dit, weights::CopyQueue* dit_copies, weights::CopyQueue* umt5_copies,
               const Sharding& sharding = {})
      : policy(vae),
        text_policy(text),
        dit_policy(dit),
        text_copies(umt5_copies),
        dits(models, dit, dit_copies, sharding) {}

  weights::Policy policy, text_policy, dit_policy;
  VaeBands vae_bands;
  comm::Communicator* vae_ranks = nullptr;  ///< who share the decoding, each with vae_bands.decode bands; or absent
  bool dits_stay = true;                    ///< while the VAE decodes, and for the next generation
  weights::CopyQueue* text_copies;
  DitStore dits;
};

/// Text states of prompt and negative prompt, [n, text_dim] f32 each.
struct TextStates {
  OwnedTensor cond, uncond;
};

/// What an image contributes.
struct ImageCondition {
  OwnedTensor condition;    ///< i2v: mask and image latent [4 + z, F, h, w] f32
  OwnedTensor first_frame;  ///< ti2v: [z, 1, h, w] f32
};

class Generation {
 public:
  /// `text_ctx` computes the text states; it may be on another device. `saved`, if given, keeps the steps.
  Generation(Context& ctx, Context& text_ctx, const ModelsOnDisk& models, LoadedModels& loaded,
             const PreparedRequest& prepared, const Hooks& hooks, SavedRun* saved = nullptr);
  /// Begins with what an interrupted run left.
  void go_on_from(SavedRun::Found found) { found_ = std::move(found); }

  /// Runs all stages; `metadata` is stored in the output unless empty. `video`: decodes, too.
  void run(const std::string& metadata, bool video);
  /// Somebody wants the frames.
  bool wants_video() const noexcept;
  double elapsed() const { return reporter_.elapsed(); }

 private:
  TextStates encode_text();
  ImageCondition encode_image();
  OwnedTensor make_noise();
  OwnedTensor sample();
  OwnedTensor load_latents();
  void decode(const Tensor& latent, const std::string& metadata);
  void save_latents(const Tensor& latent, const std::filesystem::path& path);
  OwnedTensor to_device(std::span<const float> values);
  [[noreturn]] void stop();
  void keep(const pipeline::RunState& state);
  void save_last_step();
  void give_up_saving(const Error& error);
  bool guided() const noexcept;

  Context ctx_, text_ctx_;
  const ModelsOnDisk& models_;
  LoadedModels& loaded_;
  const PreparedRequest& prepared_;
  const Hooks& hooks_;
  Reporter reporter_;
  Dump dump_;
  SavedRun* saved_;
  std::optional<SavedRun::Found> found_;
};

}  // namespace wan::engine
