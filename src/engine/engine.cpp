#include <algorithm>

#include "core/bounded_memory.h"
#include "core/error.h"
#include "engine/backend.h"
#include "engine/fit.h"
#include "engine/generation.h"
#include "engine/generation_spec.h"
#include "engine/host.h"
#include "engine/metadata.h"
#include "engine/ranks.h"
#include "io/metadata.h"
#include "models/row_bands.h"
#include "ops/kernels.h"
#include "sampler/solver.h"
#include "wan/wan.h"

namespace wan {

const char* version() noexcept { return WAN_VERSION; }

struct Engine::Impl {
  explicit Impl(const EngineOptions& engine_options)
      : options(engine_options),
        models(options.ckpt_dir, options.task),
        backend(engine::make_backend(options.device, options.ranks ? options.ranks->gpu : 0)),
        memory(*backend.memory),
        arena(memory) {
    require(options.threads >= 0 && options.threads <= 4096, ErrorCode::invalid_argument,
            "[--threads] {} is out of range; expected 0 (all) to 4096", options.threads);
    require(!options.vram || backend.capacity > 0, ErrorCode::invalid_argument,
            "[--vram] the CPU computes here; leave it out, or give --ram");
    for (const auto& [flag, bytes] : {std::pair("--vram", options.vram), std::pair("--ram", options.ram)})
      require(!bytes || *bytes > 0, ErrorCode::invalid_argument, "[{}] {}; expected some bytes, such as 24GB", flag,
              bytes.value_or(0));
    ctx.arena = &arena;
    ctx.kernels = backend.kernels.get();
    ctx.stream = backend.stream;
    if (!options.precision) options.precision = backend.compute == DType::bf16 ? Precision::bf16 : Precision::f32;
    ctx.compute = *options.precision == Precision::bf16 ? DType::bf16 : DType::f32;
    ctx.threads = options.threads > 0 ? options.threads : std::max(1, engine::usable_cpus() / ranks_here());
    weights::Policy policy{ctx.compute, false, &memory, backend.upload.get(), ctx.threads};
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
    if (options.ranks) join();
    const engine::Sharding sharding{shard_ranks.get(), gathers.get()};
    loaded.emplace(models, policy, text, dit, copies, options.t5_cpu ? nullptr : copies, sharding);
    if (mesh) loaded->vae_ranks = options.ranks->world.get();
  }

  /// Takes this rank's place among all.
  void join() {
    const engine::Ranks& ranks = *options.ranks;
    mesh.emplace(*ranks.world, ranks.mesh);
    ctx.mesh = &*mesh;
    ctx.poll = text_ctx.poll = ranks.tick;
    if (!ranks.shard_dit || ranks.world->size() == 1) return;
    shard_ranks = ranks.world->split(0);  // its calls are on a queue of their own
    if (backend.capacity > 0)
      gathers = weights::make_cuda_gather_queue(*backend.memory);
    else
      gathers = std::make_unique<weights::HostGatherQueue>();
  }
  int ranks_here() const noexcept { return options.ranks ? options.ranks->on_this_machine : 1; }
  bool leads() const noexcept { return !options.ranks || options.ranks->leads(); }

  /// What this rank does of a request: the first one alone has results.
  Request own_part(const Request& request) const {
    Request own = request;
    if (leads()) return own;
    own.output.clear();
    own.save_latents.clear();
    own.dump.clear();
    return own;
  }

  /// The first rank alone reports to the caller; all tell each other what they do.
  Hooks own_hooks(const Hooks& hooks) const {
    if (!options.ranks) return hooks;
    Hooks own;
    if (leads()) own = hooks;
    own.cancel = hooks.cancel;
    if (options.ranks->report)
      own.on_progress = [report = options.ranks->report, next = own.on_progress](const Progress& p) {
        const std::string expert = p.expert.empty() || p.expert == "model" ? "" : fmt::format(", {} expert", p.expert);
        report(fmt::format("{} {} of {}{}", to_string(p.stage), p.done, p.total, expert));
        if (next) next(p);
      };
    return own;
  }

  /// Refuses what cannot fit; else makes room for this generation. Blocks, bands and what stays come from the plan.
  void make_room(const engine::PreparedRequest& prepared) {
    const engine::GenerationSpec spec = spec_of(prepared);
    const engine::MemoryPlan plan(spec);
    const engine::FitBudget may_use = budget();
    engine::require_fit(plan, may_use);
    if (options.vram) memory.set_limit(may_use.bytes - engine::cuda_context_bytes);
    const engine::Placement p =
        plan.place(may_use.bytes, may_use.host_bytes > 0 ? may_use.host_bytes : engine::MemoryPlan::no_limit);
    loaded->vae_bands = p.bands;  // of one rank that has the whole video
    if (mesh)
      loaded->vae_bands.decode =
          models::decoder_bands_each(models.vae_config().up, prepared.latent[2], mesh->sizes().ranks(), p.bands.decode);
    loaded->dits_stay = p.kept_for_decode && !options.offload_model.value_or(false);
    loaded->dits.set_room({p.places, p.resident, p.in_host});
    background.reset();
    if (backend.prepare)
      background = backend.prepare([&](const ops::KernelTable& table) {
        engine::show_vae(spec, loaded->vae_bands, mesh ? mesh->rank() : 0, table);
      });
  }

  /// Where steps of this request are kept, if they are.
  std::optional<engine::SavedRun> open_saved(engine::PreparedRequest& prepared, const Hooks& hooks) const {
    const Request& r = prepared.request;
    // Decoding alone has no steps, and a dump needs all of them.
    if (!r.resume.value_or(true) || !r.latents.empty() || !r.dump.empty() || r.output.empty()) return std::nullopt;
    const int64_t seed = r.seed;
    if (r.seed_was_drawn) prepared.request.seed = -1;  // any saved one will do
    const std::string described = engine::metadata_json(prepared, options, models.task(), fingerprint);
    prepared.request.seed = seed;
    const std::filesystem::path whole = std::filesystem::absolute(r.output).lexically_normal();
    auto saved = engine::SavedRun::open((whole.has_filename() ? whole : whole.parent_path()).parent_path(),
                                        engine::run_key(described, prepared, backend.name + shared_by()),
                                        {.every_step = r.resume.value_or(false)});
    if (!saved && hooks.on_note)
      hooks.on_note("another process is at work on the same request: the steps of this one are not saved");
    return saved;
  }

  std::optional<engine::SavedRun::Found> find_saved(const engine::SavedRun& saved,
                                                    const engine::PreparedRequest& prepared, const Hooks& hooks) const {
    const Request& r = prepared.request;
    auto found = saved.find(prepared.latent, *r.steps, sampler::history_slots(*r.solver));
    if (found && hooks.on_note)
      hooks.on_note(fmt::format("continues an interrupted run of this request: {} of {} steps are done, seed {}",
                                found->steps_done, *r.steps, found->seed));
    return found;
  }

  /// All ranks must have the same models and make the same video; rank 0 may draw the seed.
  void agree(const engine::PreparedRequest& prepared) const {
    if (!options.ranks->agree) return;
    engine::PreparedRequest shared = prepared;
    if (shared.request.seed_was_drawn) shared.request.seed = -1;
    EngineOptions anywhere = options;  // machines may keep a model in different places
    anywhere.ckpt_dir.clear();
    options.ranks->agree(
        {{"model", fingerprint}, {"request", engine::metadata_json(shared, anywhere, models.task(), fingerprint)}});
  }

  /// Numbers of several ranks differ in their last bits from one's.
  std::string shared_by() const {
    if (!mesh) return {};
    return fmt::format(", {} x {} ranks", mesh->sizes().guidance, mesh->sizes().sequence);
  }

  engine::GenerationSpec spec_of(const engine::PreparedRequest& prepared) const {
    return engine::generation_spec(models, prepared,
                                   {ctx.compute, backend.capacity > 0, options.t5_cpu, options.convert_model_dtype,
                                    ctx.threads, mesh ? mesh->sizes() : parallel::MeshSizes{}, gathers != nullptr});
  }
  /// Of the memory that computes.
  engine::FitBudget budget() const {
    const int64_t available = engine::usable_memory() / ranks_here(), host = options.ram.value_or(available);
    if (backend.capacity == 0)
      return {backend.name, host > 0 ? host : engine::MemoryPlan::no_limit, options.ram ? available : 0, 0};
    // What other programs use is not ours. The context is there already, but kernels that come later are not.
    constexpr int64_t later = 256'000'000;
    const int64_t usable = backend.available() + engine::cuda_context_bytes - later;
    return {backend.name, std::min(options.vram.value_or(usable), usable), options.vram ? usable : 0, host};
  }

  EngineOptions options;  // with the precision that `precision` left open
  engine::ModelsOnDisk models;
  engine::Backend backend;
  BoundedMemory memory;
  Arena arena, host_arena{host_memory()};
  Context ctx, text_ctx;
  std::optional<parallel::Mesh> mesh;
  std::unique_ptr<comm::Communicator> shard_ranks;
  std::unique_ptr<weights::GatherQueue> gathers;
  std::optional<engine::LoadedModels> loaded;
  std::shared_ptr<void> background;  // prepares for the VAE while the steps are computed
  std::string fingerprint;           // made at its first use
};

Engine::Engine(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Engine Engine::open(const EngineOptions& options) { return Engine(std::make_unique<Impl>(options)); }

Task Engine::task() const noexcept { return impl_->models.task(); }

Request Engine::prepare(const Request& request) const { return engine::prepare(impl_->models, request).request; }

Result Engine::generate(const Request& request, const Hooks& all_hooks) {
  const Hooks hooks = impl_->own_hooks(all_hooks);
  engine::PreparedRequest prepared = engine::prepare(impl_->models, impl_->own_part(request));
  impl_->make_room(prepared);
  if (impl_->fingerprint.empty()) impl_->fingerprint = impl_->models.files().fingerprint();
  std::optional<engine::SavedRun> saved = impl_->open_saved(prepared, hooks);
  engine::Generation generation(impl_->ctx, impl_->text_ctx, impl_->models, *impl_->loaded, prepared, hooks,
                                saved ? &*saved : nullptr);
  engine::Start start{prepared.request.seed, generation.wants_video(), {}};
  if (saved) start.found = impl_->find_saved(*saved, prepared, hooks);
  if (impl_->mesh) {
    impl_->agree(prepared);
    engine::share_start(impl_->ctx, *impl_->options.ranks->world, prepared.latent,
                        sampler::history_slots(*prepared.request.solver), start);
  }
  prepared.request.seed = start.found ? start.found->seed : start.seed;
  Result result;
  result.metadata = engine::metadata_json(prepared, impl_->options, impl_->models.task(), impl_->fingerprint);
  if (start.found) generation.go_on_from(std::move(*start.found));
  generation.run(request.metadata ? result.metadata : std::string(), start.video);

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
