#include "engine/weight_bytes.h"

#include <algorithm>
#include <numeric>

#include "weights/file_source.h"

namespace wan::engine {
namespace {

using weights::WeightKind;
using weights::WeightSpec;

/// Counts as weights::WeightSet lays tensors out.
class Counter {
 public:
  Counter(const io::TensorIndex* index, DType assumed, DType compute, bool on_cpu, bool round)
      : index_(index), assumed_(assumed), compute_(compute), on_cpu_(on_cpu), round_(round) {}

  int64_t owned(std::span<const WeightSpec> specs, int64_t& in_files) const {
    constexpr int64_t alignment = 256;
    int64_t total = 0;
    for (const WeightSpec& spec : specs) {
      const io::TensorEntry* entry = index_ ? index_->find(spec.name) : nullptr;
      const DType file = entry ? entry->dtype : assumed_, bound = weights::bound_dtype(spec.kind, file, compute_);
      in_files += spec.shape.numel() * size_of(file);
      const bool aligned = !entry || entry->offset % size_of(file) == 0;
      const bool rounded = round_ && file == DType::f32;
      if (on_cpu_ && spec.kind != WeightKind::conv && bound == file && aligned && !rounded) continue;
      total = round_up(total, alignment) + spec.shape.numel() * size_of(bound);
    }
    return total;
  }

  template <class Weights, class Config>
  WeightBytes whole(const Config& config) const {
    WeightBytes bytes;
    bytes.outer = owned(weights::specs_of<Weights>(config, ""), bytes.file);
    return bytes;
  }
  template <class Outer, class Block, class Config>
  WeightBytes transformer(const Config& config) const {
    WeightBytes bytes = whole<Outer>(config);
    for (const auto& specs : weights::block_specs<Block>(config, config.layers, "blocks."))
      bytes.blocks.push_back(owned(specs, bytes.file));
    return bytes;
  }

 private:
  const io::TensorIndex* index_;
  DType assumed_, compute_;
  bool on_cpu_, round_;
};

}  // namespace

int64_t WeightBytes::in_blocks() const noexcept { return std::accumulate(blocks.begin(), blocks.end(), int64_t{0}); }
int64_t WeightBytes::largest_block() const noexcept {
  return blocks.empty() ? 0 : *std::max_element(blocks.begin(), blocks.end());
}

ModelBytes weight_bytes(const Dimensions& dimensions, bool two_experts, const WeightPlace& place,
                        const io::Checkpoint* files) {
  const auto index = [&](const io::LazyTensors& tensors) { return files ? &tensors.get() : nullptr; };
  const io::Checkpoint none;
  const io::Checkpoint& f = files ? *files : none;
  const auto dit = [&](const io::DitFiles& expert) {
    const Counter counter(index(expert.tensors), DType::f32, place.compute, place.on_cpu, place.round_to_bf16);
    auto counted = counter.transformer<models::DitOuterWeights, models::DitBlockWeights>(dimensions.dit);
    counted.conditioning =
        counter.owned(weights::specs_of<models::DitConditioningWeights>(dimensions.dit, ""), counted.file);
    return counted;
  };
  ModelBytes bytes;
  bytes.text = Counter(index(f.text_encoder), DType::bf16, place.compute, place.text_on_cpu, false)
                   .transformer<models::Umt5OuterWeights, models::Umt5BlockWeights>(dimensions.t5);
  bytes.high = dit(f.high_noise);
  if (two_experts) bytes.low = dit(f.low_noise);
  const Counter vae(index(f.vae), DType::f32, place.compute, place.on_cpu, false);
  bytes.encoder = vae.whole<models::VaeEncoderWeights>(dimensions.vae);
  bytes.decoder = vae.whole<models::VaeDecoderWeights>(dimensions.vae);
  return bytes;
}

}  // namespace wan::engine
