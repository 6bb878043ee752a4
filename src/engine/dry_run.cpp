#include "engine/dry_run.h"

#include <algorithm>

#include "core/counting_memory.h"
#include "models/vae_stream.h"
#include "ops/elementwise.h"
#include "pipeline/denoise.h"
#include "pipeline/image_condition.h"
#include "weights/file_source.h"

namespace wan::engine {
namespace {

constexpr int64_t shown_latent_frames = 3;  // later ones are like the third: the caches are full
constexpr size_t shown_steps = 2;           // of an expert: scratch memory settles in the second
constexpr int64_t shown_blocks = 2;         // of the text encoder, where every block takes the same
constexpr int64_t few_blocks = 8;           // of a transformer: keys and values add up, all else is small beside them

/// Addresses for the weights of W, in the dtype and layout that loading gives. Nobody counts them here.
std::vector<Tensor> dry_tensors(std::span<const weights::WeightSpec> specs, DType compute) {
  DryMemory nowhere;
  std::vector<Tensor> tensors;
  for (const weights::WeightSpec& spec : specs) {
    const DType dtype = weights::bound_dtype(spec.kind, DType::bf16, compute);
    const Shape shape = weights::bound_shape(spec.kind, spec.shape);
    tensors.emplace_back(nowhere.allocate(shape.numel() * size_of(dtype)), dtype, shape, nowhere.device());
  }
  return tensors;
}

template <class Weights, class Config>
Weights dry_weights(const Config& config, DType compute) {
  return weights::bind<Weights>(dry_tensors(weights::specs_of<Weights>(config, ""), compute), config);
}

/// The same tensors for every block.
class DryBlocks final : public weights::BlockSource {
 public:
  DryBlocks(std::vector<Tensor> tensors, int64_t blocks) : tensors_(std::move(tensors)), blocks_(blocks) {}
  int64_t blocks() const noexcept override { return blocks_; }
  weights::Lease acquire(Context&, int64_t) override {
    if (on_acquire) on_acquire();
    return weights::Lease(tensors_);
  }
  std::function<void()> on_acquire;

 private:
  std::vector<Tensor> tensors_;
  int64_t blocks_;
};

template <class Model, class Outer, class Block, class Config>
struct DryModel {
  DryModel(const Config& config, DType compute)
      : blocks(dry_tensors(weights::specs_of<Block>(config, ""), compute), config.layers),
        model{config, dry_weights<Outer>(config, compute), &blocks} {}
  DryBlocks blocks;
  Model model;
};
using DryDit = DryModel<models::Dit, models::DitOuterWeights, models::DitBlockWeights, models::DitConfig>;
using DryUmt5 = DryModel<models::Umt5, models::Umt5OuterWeights, models::Umt5BlockWeights, models::Umt5Config>;

/// Both experts at once, as they are of the same dimensions.
class DryExperts final : public pipeline::Experts {
 public:
  DryExperts(const models::DitConfig& config, DType compute)
      : dit_(config, compute), conditioning_(dry_weights<models::DitConditioningWeights>(config, compute)) {}
  void with_conditioning(pipeline::Expert, const UseConditioning& use) override {
    use(dit_.model.config, conditioning_);
  }
  const models::Dit& at_work(pipeline::Expert) override { return dit_.model; }
  void announce(pipeline::Expert) override {}
  void on_acquire(std::function<void()> call) { dit_.blocks.on_acquire = std::move(call); }

 private:
  DryDit dit_;
  models::DitConditioningWeights conditioning_;
};

/// A device whose memory does not exist.
struct DryDevice {
  DryDevice(const ops::KernelTable& kernels, DType compute, int threads) {
    ctx.arena = &arena;
    ctx.kernels = &kernels;
    ctx.compute = compute;
    ctx.threads = threads;
  }
  int64_t take_peak() noexcept {
    const int64_t peak = memory.peak();
    memory.reset_peak();
    return peak;
  }
  DryMemory nowhere;
  CountingMemory memory{nowhere};
  Arena arena{memory};
  Context ctx;
};

const ops::KernelTable& dry_table(bool cuda) { return cuda ? ops::dry_cuda_kernels() : ops::dry_kernels(); }

std::vector<std::vector<int32_t>> dry_ids(const GenerationSpec& s) {
  const auto ids = [&](int64_t tokens) {
    return std::vector<int32_t>(static_cast<size_t>(tokens > 0 ? tokens : s.dimensions.dit.text_len));
  };
  std::vector<std::vector<int32_t>> all{ids(s.text_tokens[0])};
  if (s.guided()) all.push_back(ids(s.text_tokens[1]));
  return all;
}

int64_t image_frames(const GenerationSpec& s) { return s.task == Task::i2v_A14B ? s.frames : 1; }

Shape latent_of(const GenerationSpec& s, int64_t frames) {
  const models::VaeConfig& vae = s.dimensions.vae;
  return {vae.z_dim, vae.latent_frames(frames), s.height / vae.stride_s(), s.width / vae.stride_s()};
}

std::vector<OwnedTensor> dry_text(const GenerationSpec& s, Context& ctx) {
  const DryUmt5 umt5(s.dimensions.t5, ctx.compute);
  const auto scope = ctx.arena->scope();
  std::vector<OwnedTensor> kept;
  for (const Tensor& state : models::umt5_encode(ctx, umt5.model, dry_ids(s)))
    kept.emplace_back(ctx.arena->memory(), DType::f32, state.shape);
  return kept;
}

/// Encodes the first latent frames of `z`.
void dry_encode(const GenerationSpec& s, Context& ctx, const Tensor& z, int64_t latent_frames, int64_t bands = 1) {
  const models::VaeConfig& vae = s.dimensions.vae;
  const auto encoder = dry_weights<models::VaeEncoderWeights>(vae, ctx.compute);
  models::encode_bands(
      ctx, encoder, vae, vae.video_frames(latent_frames), [](int64_t, const Tensor&) {}, z.slice(1, 0, latent_frames),
      bands);
}

/// Decodes the first latent frames of `z` as one rank of `ranks` that share it, in so many bands each.
void dry_decode(const GenerationSpec& s, Context& ctx, const Tensor& z, int64_t latent_frames, int64_t bands = 1,
                int rank = 0, int ranks = 1) {
  const models::VaeConfig& vae = s.dimensions.vae;
  const auto decoder = dry_weights<models::VaeDecoderWeights>(vae, ctx.compute);
  const auto world = parallel::Mesh::dry_world(rank, ranks);
  models::decode_shared(ctx, decoder, vae, z.slice(1, 0, latent_frames), *world, bands,
                        [](int64_t, int64_t, const Tensor&) {});
}

pipeline::DenoiseJob job_of(const GenerationSpec& s, const sampler::Schedule& schedule) {
  pipeline::DenoiseJob job;
  job.schedule = schedule;
  job.boundary = s.two_experts ? s.boundary : 0;
  job.guidance_low = s.guidance_low;
  job.guidance_high = s.guidance_high;
  return job;
}

/// The first steps of each expert.
sampler::Schedule shortened(const sampler::Schedule& whole, double boundary) {
  sampler::Schedule few{whole.solver, {}, {}};
  size_t taken = 0;
  for (size_t i = 0; i < whole.timesteps.size(); ++i) {
    const bool same = i > 0 && pipeline::expert_of(whole.timesteps[i], boundary) ==
                                   pipeline::expert_of(whole.timesteps[i - 1], boundary);
    if (!same) taken = 0;
    if (taken++ >= shown_steps) continue;
    few.timesteps.push_back(whole.timesteps[i]);
    few.sigmas.push_back(whole.sigmas[i]);
  }
  few.sigmas.push_back(0);
  return few;
}

void dry_sample(const GenerationSpec& s, DryDevice& device, const std::vector<OwnedTensor>& text, const Tensor& image,
                StageBytes& bytes) {
  Context& ctx = device.ctx;
  const OwnedTensor latent(device.memory, DType::f32, s.latent());
  const sampler::Schedule whole = sampler::make_schedule(s.solver, s.steps, s.shift);
  const double boundary = s.two_experts ? s.boundary : 0;
  pipeline::DenoiseJob job = job_of(s, shortened(whole, boundary));
  job.context_cond = text.front().tensor;
  if (text.size() > 1) job.context_uncond = text.back().tensor;
  (s.task == Task::i2v_A14B ? job.condition : job.first_frame) = image;

  // What the steps that are left out would add to the time embeddings: their rows, and scratch while they are made.
  const models::DitConfig& dit = s.dimensions.dit;
  const int64_t missing = whole.steps() - job.schedule.steps();
  const OwnedTensor times(device.memory, DType::f32, {s.two_experts ? 2 : 1, missing, 7 * dit.dim});
  const int64_t making = missing * (2 * dit.freq_dim + 3 * dit.dim) * size_of(DType::f32);

  const parallel::Mesh mesh = parallel::Mesh::dry(s.mesh);
  ctx.mesh = &mesh;
  DryExperts experts(dit, ctx.compute);
  // What an expert leaves is gone before the next one's first block comes.
  std::optional<pipeline::Expert> at_work, counted;
  const auto record = [&] {
    if (!counted) return;
    int64_t& peak = *counted == pipeline::Expert::low ? bytes.low : bytes.high;
    peak = std::max(peak, device.take_peak());
  };
  experts.on_acquire([&] {
    if (counted == at_work) return;
    record();
    counted = at_work;
  });
  pipeline::denoise(ctx, job, experts, latent.tensor, [&](int64_t, pipeline::Expert expert) {
    if (!at_work) bytes.condition = device.take_peak() + making;
    at_work = expert;
  });
  record();
  ctx.mesh = nullptr;
}

/// Counts what runs through the table.
class Recorder {
 public:
  Recorder(const ops::KernelTable& dry, DType compute, int threads)
      : table_(ops::profile_kernels(
            dry, [] {}, [this](const ops::OpWork& op, double) { work_->add(op); })),
        device_(table_, compute, threads) {}
  template <class F>
  void run(Work& into, const F& f) {
    work_ = &into;
    f(device_.ctx);
    device_.arena.release();
  }

 private:
  Work* work_ = nullptr;
  ops::ProfileTable table_;
  DryDevice device_;
};

}  // namespace

Shape GenerationSpec::latent() const { return latent_of(*this, frames); }

int64_t GenerationSpec::tokens() const {
  return latent().numel() / dimensions.vae.z_dim / dimensions.dit.patch_volume();
}

void Work::add(const ops::OpWork& op, double times) {
  auto& entry = ops_[{op.kind, op.dtype, op.channels, op.flop, op.bytes}];
  if (entry.second == 0) entry.first = op;
  entry.second += times;
}

double Work::flop() const {
  return seconds([](const ops::OpWork& op) { return op.flop; });
}

double WorkSum::flop() const {
  return seconds([](const ops::OpWork& op) { return op.flop; });
}

ExpertSteps expert_steps(const GenerationSpec& s) {
  ExpertSteps steps;
  for (const int64_t timestep : sampler::make_schedule(s.solver, s.steps, s.shift).timesteps)
    ++(pipeline::expert_of(timestep, s.two_experts ? s.boundary : 0) == pipeline::Expert::low ? steps.low : steps.high);
  return steps;
}

namespace {

// As Generation runs its stages; with or without the VAE's.
StageBytes run_stages(const GenerationSpec& s, bool vae) {
  StageBytes bytes;
  DryDevice device(dry_table(s.cuda), s.compute, s.threads);
  if (!s.decode_only) {
    std::vector<OwnedTensor> text;
    if (s.cuda && s.text_on_cpu) {
      DryDevice host(ops::dry_kernels(), s.compute, s.threads);
      const std::vector<OwnedTensor> states = dry_text(s, host.ctx);
      bytes.text_host = host.take_peak();
      for (const OwnedTensor& state : states) text.emplace_back(device.memory, DType::f32, state.tensor.shape);
    } else {
      text = dry_text(s, device.ctx);
    }
    bytes.text = device.take_peak();
    device.arena.release();

    OwnedTensor image;
    if (s.image) {
      OwnedTensor z(device.memory, DType::f32, latent_of(s, image_frames(s)));
      if (vae) bytes.image = dry_encode_memory(s, 1) + device.memory.in_use();
      image = s.task == Task::i2v_A14B ? pipeline::image_condition(device.ctx, z.tensor) : std::move(z);
    }
    bytes.image = std::max(bytes.image, device.take_peak());
    device.arena.release();
    device.memory.reset_peak();
    dry_sample(s, device, text, image.tensor, bytes);
  }
  if (!vae) return bytes;
  device.arena.release();
  const OwnedTensor latent(device.memory, DType::f32, s.latent());
  bytes.decode = device.memory.in_use() + dry_decode_memory(s, 1);
  return bytes;
}

}  // namespace

// Each block of many adds as much as the one before it.
StageBytes dry_memory(const GenerationSpec& spec) {
  GenerationSpec few = spec;
  few.dimensions.t5.layers = std::min(shown_blocks, spec.dimensions.t5.layers);
  few.dimensions.dit.layers = std::min(few_blocks, spec.dimensions.dit.layers);
  StageBytes bytes = run_stages(few, true);
  const int64_t more = spec.dimensions.dit.layers - few.dimensions.dit.layers;
  if (more == 0) return bytes;
  --few.dimensions.dit.layers;
  const StageBytes one_less = run_stages(few, false);
  bytes.high += more * (bytes.high - one_less.high);
  bytes.low += more * (bytes.low - one_less.low);
  return bytes;
}

namespace {

// By how much whole frames take more of an H100 than a dry run of them, 1280x720 and 1280x704: 6.32 GB for 5.51 (VAE
// 2.1), 5.12 for 4.84 (2.2); encoding 5.07 for 3.62. Bands take what the dry run says. The cause was not found.
double whole_frames_factor(const GenerationSpec& s, bool encoding) {
  if (!s.cuda) return 1;
  if (encoding) return 1.42;
  return s.dimensions.vae.z_dim == 16 ? 1.13 : 1.06;
}

// Between bands rows of every frame are kept: a frame more adds as much as the one before it.
template <class Run>
int64_t dry_vae_memory(const GenerationSpec& s, const Shape& latent, int64_t bands, double factor, const Run& run) {
  DryDevice device(dry_table(s.cuda), s.compute, s.threads);
  const OwnedTensor z(device.memory, DType::f32, latent);
  const int64_t latents = device.memory.in_use();
  const auto peak_of = [&](int64_t frames) {
    device.memory.reset_peak();
    run(device.ctx, z.tensor, frames);
    device.arena.release();
    return static_cast<int64_t>(factor * static_cast<double>(device.take_peak() - latents));
  };
  const int64_t shown = bands == 1 ? shown_latent_frames : shown_latent_frames + 1;
  if (latent[1] <= shown) return peak_of(latent[1]);
  const int64_t peak = peak_of(shown);
  return bands == 1 ? peak : peak + (latent[1] - shown) * (peak - peak_of(shown - 1));
}

}  // namespace

int64_t dry_decode_memory(const GenerationSpec& s, int64_t bands) {
  return dry_vae_memory(s, s.latent(), bands, bands == 1 ? whole_frames_factor(s, false) : 1,
                        [&](Context& ctx, const Tensor& z, int64_t frames) { dry_decode(s, ctx, z, frames, bands); });
}

int64_t dry_encode_memory(const GenerationSpec& s, int64_t bands) {
  return dry_vae_memory(s, latent_of(s, image_frames(s)), bands, bands == 1 ? whole_frames_factor(s, true) : 1,
                        [&](Context& ctx, const Tensor& z, int64_t frames) { dry_encode(s, ctx, z, frames, bands); });
}

void show_vae(const GenerationSpec& s, const VaeBands& bands, int rank, const ops::KernelTable& table) {
  constexpr int64_t enough = 6;  // latent frames, until the windows of frames have been at all their places
  DryDevice device(table, s.compute, s.threads);
  if (s.image && !s.decode_only) {
    const OwnedTensor z(device.memory, DType::f32, latent_of(s, image_frames(s)));
    dry_encode(s, device.ctx, z.tensor, std::min(z.tensor.dim(1), enough), bands.encode);
    device.arena.release();
  }
  const OwnedTensor z(device.memory, DType::f32, s.latent());
  dry_decode(s, device.ctx, z.tensor, std::min(z.tensor.dim(1), enough), bands.decode, rank, s.mesh.ranks());
}

DryWork::DryWork(const GenerationSpec& s) : layers_(s.dimensions.dit.layers), text_layers_(s.dimensions.t5.layers) {
  Recorder recorder(ops::dry_cuda_kernels(), s.compute, s.threads);  // its scratch costs the least time to find
  const auto run_clip = [&](Clip& clip, const Shape& latent, auto run) {
    clip.latent_frames = latent[1];
    const auto run_frames = [&](Work& work, int64_t frames) {
      recorder.run(work, [&](Context& ctx) {
        const OwnedTensor z(ctx.arena->memory(), DType::f32, latent);
        run(s, ctx, z.tensor, frames);
      });
    };
    run_frames(clip.two, std::min<int64_t>(latent[1], 2));
    if (latent[1] > 2) run_frames(clip.three, 3);
  };
  if (!s.decode_only) {
    for (int layers = 1; layers <= 2; ++layers)
      recorder.run(text_[layers - 1], [&](Context& ctx) {
        GenerationSpec few = s;
        few.dimensions.t5.layers = layers;
        (void)dry_text(few, ctx);
      });
    if (s.image)
      run_clip(image_, latent_of(s, image_frames(s)),
               [](const GenerationSpec& spec, Context& ctx, const Tensor& z, int64_t frames) {
                 dry_encode(spec, ctx, z, frames);
               });
    GenerationSpec one = s;  // one expert and one prompt
    one.two_experts = false;
    one.guidance_low = 1;
    for (int layers = 1; layers <= 2; ++layers)
      for (int steps = 1; steps <= 2; ++steps)
        recorder.run(sample_[layers - 1][steps - 1], [&](Context& ctx) {
          one.dimensions.dit.layers = layers;
          MemoryResource& memory = ctx.arena->memory();
          const models::DitConfig& config = one.dimensions.dit;
          DryExperts experts(config, ctx.compute);
          const OwnedTensor latent(memory, DType::f32, s.latent());
          const OwnedTensor text(memory, DType::f32, {config.text_len, config.text_dim});
          pipeline::DenoiseJob job = job_of(one, sampler::make_schedule(s.solver, steps, s.shift));
          job.context_cond = text.tensor;
          OwnedTensor image;
          if (const int64_t more = config.in_channels - config.out_channels; more > 0) {
            image = OwnedTensor(memory, DType::f32, {more, s.latent()[1], s.latent()[2], s.latent()[3]});
            job.condition = image.tensor;
          }
          pipeline::denoise(ctx, job, experts, latent.tensor, [](int64_t, pipeline::Expert) {});
        });
  }
  run_clip(decode_, s.latent(), [](const GenerationSpec& spec, Context& ctx, const Tensor& z, int64_t frames) {
    dry_decode(spec, ctx, z, frames);
  });
}

WorkSum DryWork::clip(const Clip& c) {
  if (c.latent_frames <= 2) return {{{1, &c.two}}};
  const auto later = static_cast<double>(c.latent_frames - 2);  // each as the third
  return {{{1 - later, &c.two}, {later, &c.three}}};
}

WorkSum DryWork::text() const {
  const auto n = static_cast<double>(text_layers_);
  return {{{2 - n, &text_[0]}, {n - 1, &text_[1]}}};
}

WorkSum DryWork::block() const {
  return {{{1, &sample_[1][1]}, {-1, &sample_[1][0]}, {-1, &sample_[0][1]}, {1, &sample_[0][0]}}};
}

// A second step of one layer, without its block.
WorkSum DryWork::outer() const {
  return {{{2, &sample_[0][1]}, {-2, &sample_[0][0]}, {-1, &sample_[1][1]}, {1, &sample_[1][0]}}};
}

// Of one step with one layer, what is neither its block nor the rest of the forward; and what a layer more adds.
WorkSum DryWork::prompts() const {
  const auto n = static_cast<double>(layers_);
  // (2 a - b) + (layers - 1) * (2 (c - a) - (d - b)), with a: 1 layer 1 step, b: 1 layer 2 steps, c, d: 2 layers
  return {{{2 - 2 * (n - 1), &sample_[0][0]},
           {-1 + (n - 1), &sample_[0][1]},
           {2 * (n - 1), &sample_[1][0]},
           {-(n - 1), &sample_[1][1]}}};
}

}  // namespace wan::engine
