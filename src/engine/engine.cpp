#include "core/error.h"
#include "engine/backend.h"
#include "engine/generation.h"
#include "engine/host.h"
#include "engine/metadata.h"
#include "io/metadata.h"
#include "ops/kernels.h"
#include "wan/wan.h"

namespace wan {

const char* version() noexcept { return WAN_VERSION; }

struct Engine::Impl {
  explicit Impl(const EngineOptions& engine_options)
      : options(engine_options),
        models(options.ckpt_dir, options.task),
        backend(engine::make_backend(options.device)),
        arena(*backend.memory) {
    require(options.threads >= 0 && options.threads <= 4096, ErrorCode::invalid_argument,
            "[--threads] {} is out of range; expected 0 (all) to 4096", options.threads);
    ctx.arena = &arena;
    ctx.kernels = backend.kernels.get();
    ctx.stream = backend.stream;
    if (!options.precision) options.precision = backend.compute == DType::bf16 ? Precision::bf16 : Precision::f32;
    ctx.compute = *options.precision == Precision::bf16 ? DType::bf16 : DType::f32;
    ctx.threads = options.threads > 0 ? options.threads : engine::usable_cpus();
    weights::Policy policy{ctx.compute, false, backend.memory.get(), backend.upload.get(), ctx.threads};
    weights::Policy text = policy, dit = policy;
    dit.round_to_bf16 = options.convert_model_dtype;
    text_ctx = ctx;
    if (options.t5_cpu) {
      text_ctx.arena = &host_arena;
      text_ctx.kernels = &ops::cpu_kernels();
      text_ctx.stream = nullptr;
      text.memory = &host_memory();
      text.upload = nullptr;
    }
    weights::CopyQueue* copies = backend.copies.get();
    loaded.emplace(models, policy, text, dit, copies, options.t5_cpu ? nullptr : copies);
    const int64_t blocks = models.dit_config().layers;
    loaded->dits.set_room({models.files().two_experts ? 2 * blocks : blocks, blocks, 0});
  }

  EngineOptions options;  // with the precision that `precision` left open
  engine::ModelsOnDisk models;
  engine::Backend backend;
  Arena arena, host_arena{host_memory()};
  Context ctx, text_ctx;
  std::optional<engine::LoadedModels> loaded;
  std::string fingerprint;  // made at its first use
};

Engine::Engine(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Engine Engine::open(const EngineOptions& options) { return Engine(std::make_unique<Impl>(options)); }

Task Engine::task() const noexcept { return impl_->models.task(); }

Request Engine::prepare(const Request& request) const { return engine::prepare(impl_->models, request).request; }

Result Engine::generate(const Request& request, const Hooks& hooks) {
  const engine::PreparedRequest prepared = engine::prepare(impl_->models, request);
  if (prepared.request.latents.empty())
    engine::check_capacity(impl_->backend, impl_->models.dit_bytes(impl_->ctx.compute));
  if (impl_->fingerprint.empty()) impl_->fingerprint = impl_->models.files().fingerprint();
  Result result;
  result.metadata = engine::metadata_json(prepared, impl_->options, impl_->models.task(), impl_->fingerprint);
  engine::Generation generation(impl_->ctx, impl_->text_ctx, impl_->models, *impl_->loaded, prepared, hooks);
  generation.run(request.metadata ? result.metadata : std::string());

  result.output = prepared.request.output;
  result.seed = prepared.request.seed;
  result.width = static_cast<int>(prepared.width);
  result.height = static_cast<int>(prepared.height);
  result.frames = static_cast<int>(prepared.frames);
  result.fps = *prepared.request.fps;
  result.seconds = generation.elapsed();
  return result;
}

std::optional<std::string> read_metadata(const std::filesystem::path& file) { return io::read_metadata(file); }

}  // namespace wan
