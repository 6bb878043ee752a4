#include "engine/memory_plan.h"

#include <algorithm>

#include "core/checked.h"
#include "models/row_bands.h"

namespace wan::engine {
namespace {

int64_t fixed_bytes(const GenerationSpec& spec) { return spec.cuda ? cuda_context_bytes : 0; }

bool has_shards(const GenerationSpec& spec) { return spec.sharded && spec.mesh.ranks() > 1; }

ModelBytes weights_of(const GenerationSpec& spec) {
  const bool text_on_cpu = !spec.cuda || spec.text_on_cpu;
  ModelBytes bytes = weight_bytes(spec.dimensions, spec.two_experts,
                                  {spec.compute, !spec.cuda, text_on_cpu, spec.round_to_bf16}, spec.files);
  if (!has_shards(spec)) return bytes;
  // A shard is never the mapped file itself, as a whole block on the CPU may be.
  const ModelBytes copied = weight_bytes(spec.dimensions, spec.two_experts,
                                         {spec.compute, false, text_on_cpu, spec.round_to_bf16}, spec.files);
  bytes.high.blocks = copied.high.blocks;
  bytes.low.blocks = copied.low.blocks;
  return bytes;
}

}  // namespace

int64_t StagePeaks::most() const noexcept { return std::max({text, image, condition, sample, decode}); }

const char* StagePeaks::tightest() const noexcept {
  const int64_t peak = most();
  if (peak == sample || peak == condition) return "sample";
  if (peak == decode) return "decode";
  return peak == image ? "image" : "text";
}

MemoryPlan::MemoryPlan(const GenerationSpec& spec)
    : spec_(spec),
      weights_(weights_of(spec)),
      stages_(dry_memory(spec)),
      steps_(spec.decode_only ? ExpertSteps{} : expert_steps(spec)) {
  if (!has_shards(spec)) return;
  gathered_ = 2 * block_bytes();
  for (WeightBytes* expert : {&weights_.high, &weights_.low})
    for (int64_t& block : expert->blocks) block = div_up(block, static_cast<int64_t>(spec.mesh.ranks()));
}

StagePeaks MemoryPlan::other_stages(int64_t held_while_decoding) const {
  const int64_t fixed = fixed_bytes(spec_);
  StagePeaks peaks;
  const int64_t kernels = spec_.cuda ? vae_kernel_bytes : 0;
  peaks.decode = fixed + kernels + weights_.decoder.outer + stages_.decode + held_while_decoding;
  if (spec_.decode_only) return peaks;
  const bool text_here = !(spec_.cuda && spec_.text_on_cpu);
  // A block is converted as it is used; on a GPU the next one may arrive meanwhile.
  const int64_t text_blocks = (spec_.cuda ? streaming_places : 1) * weights_.text.largest_block();
  peaks.text = fixed + stages_.text + (text_here ? weights_.text.outer + text_blocks : 0);
  if (spec_.image) peaks.image = fixed + kernels + stages_.image + weights_.encoder.outer;
  const int64_t conditioning =
      std::max(steps_.high > 0 ? weights_.high.conditioning : 0, steps_.low > 0 ? weights_.low.conditioning : 0);
  peaks.condition = fixed + stages_.condition + conditioning;
  return peaks;
}

StagePeaks MemoryPlan::host(const Placement& p) const {
  if (!spec_.cuda) return p.device;
  StagePeaks peaks;
  const int64_t frames = 4 * spec_.width * spec_.height * 3 * (size_of(DType::f32) + 1);
  peaks.text = staging_bytes;
  if (spec_.text_on_cpu) peaks.text += weights_.text.outer + weights_.text.largest_block() + stages_.text_host;
  peaks.image = peaks.condition = staging_bytes;
  peaks.sample = staging_bytes + experts() * p.in_host * block_bytes();
  peaks.decode = staging_bytes + frames;
  if (p.bands.decode > 1) peaks.decode += 3 * spec_.frames * spec_.width * spec_.height;  // put together here
  return peaks;
}

int64_t MemoryPlan::block_bytes() const noexcept {
  return std::max(weights_.high.largest_block(), weights_.low.largest_block());
}

int64_t MemoryPlan::experts() const noexcept { return (steps_.high > 0 ? 1 : 0) + (steps_.low > 0 ? 1 : 0); }

Placement MemoryPlan::place_all() const {
  const int64_t fixed = fixed_bytes(spec_);
  const int64_t high = steps_.high > 0 ? weights_.high.all() : 0, low = steps_.low > 0 ? weights_.low.all() : 0;
  Placement p;
  p.fits = p.both_experts = p.kept_for_decode = true;
  p.blocks = p.resident = static_cast<int64_t>(weights_.high.blocks.size());
  p.places = p.blocks * experts();
  p.device = other_stages(high + low);
  // The second expert comes on top of the first one.
  const int64_t next = steps_.low > 0 ? weights_.low.outer : 0;
  p.device.sample = fixed + std::max(high + next + stages_.high, high + low + (steps_.low > 0 ? stages_.low : 0));
  if (spec_.cuda) p.device.sample = fixed + high + low + std::max(stages_.high, stages_.low);
  p.device.sample += gathered_;
  p.device.decode += gathered_;  // they stay, too
  if (spec_.decode_only) p.device.sample = 0;
  p.host = host(p);
  return p;
}

Placement MemoryPlan::place_streamed(int64_t resident, int64_t host_budget, int64_t budget) const {
  const int64_t block = block_bytes();
  Placement p;
  p.fits = true;
  p.blocks = static_cast<int64_t>(weights_.high.blocks.size());
  p.resident = std::clamp<int64_t>(resident, 0, p.blocks);
  p.streamed = p.resident < p.blocks;
  p.places = p.streamed ? std::min(p.resident + streaming_places, p.blocks) : p.blocks;
  const int64_t room = std::max<int64_t>(host_budget - staging_bytes, 0) / std::max<int64_t>(experts() * block, 1);
  p.in_host = std::min(p.blocks - p.resident, room);
  p.from_disk = p.blocks - p.resident - p.in_host;
  p.device = other_stages(0);
  p.device.sample = fixed_bytes(spec_) + gathered_ + p.places * block +
                    std::max(stages_.high + weights_.high.outer, stages_.low + weights_.low.outer);
  if (spec_.decode_only) p.device.sample = 0;
  choose_bands(p, budget);
  p.host = host(p);
  return p;
}

void MemoryPlan::choose_bands(Placement& p, int64_t budget) const {
  if (!spec_.cuda) return;  // a dry run makes the CPU's primitives: too slow for a search, and hosts have the memory
  const models::VaeConfig& vae = spec_.dimensions.vae;
  const int64_t height = spec_.latent()[2];
  // Less than the other stages take helps nobody.
  const int64_t target = std::max({budget, p.device.text, p.device.condition, p.device.sample});
  // The fewest that fit; or, where none do, those that take the least.
  const auto choose = [&](int64_t& peak, int64_t& bands, int64_t most, const auto& bytes_of) {
    if (peak <= target) return;
    const int64_t rest = peak - bytes_of(spec_, 1);
    for (const int64_t count : {2, 3, 4, 6, 8, 10}) {  // beyond, what is kept of the bands outweighs the rest
      if (count > most) return;
      const int64_t bytes = rest + bytes_of(spec_, count);
      if (bytes >= peak) continue;
      peak = bytes;
      bands = count;
      if (peak <= target) return;
    }
  };
  choose(p.device.decode, p.bands.decode, height, dry_decode_memory);
  if (spec_.image && !spec_.decode_only)
    choose(p.device.image, p.bands.encode, models::most_encoder_bands(vae.down, height), dry_encode_memory);
}

Placement MemoryPlan::place(int64_t budget, int64_t host_budget) const {
  Placement all = place_all();
  all.fits = all.device.most() <= budget;
  if (all.fits) return all;
  if (!spec_.cuda) return all;
  const int64_t sample = all.device.sample;
  all.kept_for_decode = false;
  all.device = other_stages(0);
  all.device.sample = sample;
  choose_bands(all, budget);
  all.fits = all.device.most() <= budget;
  if (all.fits) return all;

  Placement p = place_streamed(0, host_budget, budget);
  if (p.device.most() > budget) {
    p.fits = false;
    return p;
  }
  const int64_t more = (budget - p.device.sample) / std::max<int64_t>(block_bytes(), 1);  // places beside p's
  return place_streamed(p.places + more >= p.blocks ? p.blocks : more, host_budget, budget);
}

Placement MemoryPlan::least() const { return spec_.cuda ? place_streamed(0, no_limit, 0) : place_all(); }

}  // namespace wan::engine
