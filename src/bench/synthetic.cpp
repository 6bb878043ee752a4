#include "bench/synthetic.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/checked.h"
#include "core/rng.h"
#include "weights/file_source.h"

namespace wan::bench {
namespace {

constexpr size_t pattern_elements = 4'194'301;  // a prime: no row of a matrix is the same as the next

struct Distribution {
  float deviation = 1, mean = 0;
};

Distribution distribution_of(const weights::WeightSpec& spec) {
  using weights::WeightKind;
  constexpr float small = 0.02f;
  if (spec.kind == WeightKind::table) return {};
  if (spec.kind != WeightKind::vector && spec.shape.rank() > 1) {
    const int64_t fan_in = spec.shape.numel() / spec.shape[0];
    return {1.f / std::sqrt(static_cast<float>(fan_in))};
  }
  const bool offset = spec.name.ends_with("bias") || spec.name.ends_with("modulation");
  return {small, offset ? 0.f : 1.f};
}

}  // namespace

NormalFill::NormalFill(weights::Upload& upload) : upload_(&upload), normal_(pattern_elements) {
  make_random_stream(Rng::cpu, 1)->fill(normal_);
}

std::span<const std::byte> NormalFill::pattern(DType dtype, float deviation, float mean) {
  std::vector<std::byte>& bytes = patterns_[{dtype, {deviation, mean}}];
  if (!bytes.empty()) return bytes;
  bytes.resize(normal_.size() * static_cast<size_t>(size_of(dtype)));
  for (size_t i = 0; i < normal_.size(); ++i) {
    const float value = mean + deviation * normal_[i];
    if (dtype == DType::bf16) {
      const bf16 rounded(value);
      std::memcpy(&bytes[i * sizeof rounded], &rounded, sizeof rounded);
    } else {
      std::memcpy(&bytes[i * sizeof value], &value, sizeof value);
    }
  }
  return bytes;
}

void NormalFill::fill(const Tensor& to, float deviation, float mean) {
  assert(to.contiguous() && (to.dtype == DType::f32 || to.dtype == DType::bf16));
  const std::span<const std::byte> source = pattern(to.dtype, deviation, mean);
  const auto size = static_cast<size_t>(size_of(to.dtype));
  auto* const out = static_cast<std::byte*>(to.data);
  const auto total = static_cast<size_t>(to.numel());
  for (size_t first = 0; first < total;) {
    const std::span<std::byte> stage = upload_->stage();
    const size_t count = std::min({stage.size() / size, total - first, pattern_elements - next_});
    std::memcpy(stage.data(), source.data() + next_ * size, count * size);
    upload_->send(stage, out + first * size, static_cast<int64_t>(count * size));
    first += count;
    next_ = (next_ + count) % pattern_elements;
  }
}

SyntheticSet::SyntheticSet(std::span<const weights::WeightSpec> specs, DType compute, MemoryResource& memory,
                           NormalFill& fill) {
  constexpr int64_t alignment = 256;
  std::vector<int64_t> offsets;
  int64_t total = 0;
  for (const weights::WeightSpec& spec : specs) {
    // bf16 is what the official table of token embeddings has.
    tensors_.emplace_back(nullptr, weights::bound_dtype(spec.kind, DType::bf16, compute),
                          weights::bound_shape(spec.kind, spec.shape), memory.device());
    offsets.push_back(round_up(total, alignment));
    total = offsets.back() + tensors_.back().nbytes();
  }
  memory_ = Buffer(memory, total);
  for (size_t i = 0; i < specs.size(); ++i) {
    tensors_[i].data = static_cast<std::byte*>(memory_.data()) + offsets[i];
    const Distribution d = distribution_of(specs[i]);
    fill.fill(tensors_[i], d.deviation, d.mean);
  }
}

SyntheticBlocks::SyntheticBlocks(const std::vector<std::vector<weights::WeightSpec>>& specs, DType compute,
                                 MemoryResource& memory, NormalFill& fill) {
  for (const auto& block : specs) sets_.emplace_back(block, compute, memory, fill);
}

}  // namespace wan::bench
