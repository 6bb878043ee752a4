// Time of one steady chunk (4 pixel frames) through the VAEs at official widths, random weights.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>

#include "models/vae_stream.h"
#include "ops/kernels.h"

namespace wan::models {
namespace {

VaeConfig official(VaeVersion version) {
  VaeConfig c;
  c.version = version;
  if (version == VaeVersion::v21) {
    c.z_dim = 16;
    c.down = {{96, 96, 2, true, false}, {96, 192, 2, true, true}, {192, 384, 2, true, true}, {384, 384, 2}};
    c.up = {{384, 384, 3, true, true}, {192, 384, 3, true, true}, {192, 192, 3, true, false}, {96, 96, 3}};
  } else {
    c.z_dim = 48;
    c.patch = 2;
    c.down = {{160, 160, 2, true, false}, {160, 320, 2, true, true}, {320, 640, 2, true, true}, {640, 640, 2}};
    c.up = {{1024, 1024, 3, true, true}, {1024, 1024, 3, true, true}, {1024, 512, 3, true, false}, {512, 256, 3}};
  }
  return c;
}

// Weights that keep activations in range: +- 1 / sqrt(fan-in), norms 1.
template <class W>
struct RandomWeights {
  RandomWeights(const VaeConfig& config, DType compute) {
    for (const weights::WeightSpec& spec : weights::specs_of<W>(config, "")) {
      const bool conv = spec.kind == weights::WeightKind::conv;
      Shape shape{spec.shape.numel()};
      if (conv) {
        const Shape& s = spec.shape;
        shape = s.rank() == 5 ? Shape{s[0], s[2], s[3], s[4], s[1]} : Shape{s[0], 1, s[2], s[3], s[1]};
      }
      owned.emplace_back(host_memory(), conv ? compute : DType::f32, shape);
      const Tensor& t = owned.back().tensor;
      const float size = conv ? 1.f / std::sqrt(static_cast<float>(t.numel() / shape[0])) : 1.f;
      const bool bias = spec.name.ends_with("bias");
      for (int64_t i = 0; i < t.numel(); ++i) {
        const float v = bias ? 0.f : conv ? size * std::sin(12.9898f * static_cast<float>(i % 65521)) : 1.f;
        if (t.dtype == DType::bf16)
          t.ptr<bf16>()[i] = bf16(v);
        else
          t.ptr<float>()[i] = v;
      }
      tensors.push_back(t);
    }
    weights = weights::bind<W>(tensors, config);
  }
  std::vector<OwnedTensor> owned;
  std::vector<Tensor> tensors;
  W weights;
};

struct Cpu {
  explicit Cpu(DType compute) : arena(host_memory()) {
    ctx.arena = &arena;
    ctx.kernels = &ops::cpu_kernels();
    ctx.compute = compute;
    ctx.threads = 2;
  }
  Arena arena;
  Context ctx;
};

Tensor filled(Context& ctx, const Shape& shape) {
  const Tensor t = ctx.make(DType::f32, shape);
  for (int64_t i = 0; i < t.numel(); ++i) t.ptr<float>()[i] = std::sin(0.1f * static_cast<float>(i));
  return t;
}

void report(benchmark::State& state, int64_t pixels, int64_t cache_bytes, int64_t scratch_bytes) {
  state.SetItemsProcessed(state.iterations() * pixels);
  state.counters["cache_MiB"] = static_cast<double>(cache_bytes) / (1 << 20);
  state.counters["scratch_MiB"] = static_cast<double>(scratch_bytes) / (1 << 20);
}

constexpr int64_t side = 128;  // pixels

void decode_chunk(benchmark::State& state, VaeVersion version, DType compute) {
  const VaeConfig config = official(version);
  const RandomWeights<VaeDecoderWeights> random(config, compute);
  Cpu cpu(compute), inputs(DType::f32);
  const int64_t latent = side / config.stride_s();
  const Tensor z = filled(inputs.ctx, {config.z_dim, 1, latent, latent});
  const Tensor frames = inputs.ctx.make(DType::f32, {3, config.stride_t(), side, side});
  VaeDecoder decoder(random.weights, config, latent, latent);
  decoder.decode_next(cpu.ctx, z, frames.slice(1, 0, 1));
  for (auto _ : state) decoder.decode_next(cpu.ctx, z, frames);
  report(state, frames.numel() / 3, decoder.cache_bytes(), cpu.arena.peak());
}

void encode_chunk(benchmark::State& state, VaeVersion version, DType compute) {
  const VaeConfig config = official(version);
  const RandomWeights<VaeEncoderWeights> random(config, compute);
  Cpu cpu(compute), inputs(DType::f32);
  const int64_t latent = side / config.stride_s();
  const Tensor z = inputs.ctx.make(DType::f32, {config.z_dim, 1, latent, latent});
  const Tensor frames = filled(inputs.ctx, {3, config.stride_t(), side, side});
  VaeEncoder encoder(random.weights, config, side, side);
  encoder.encode_next(cpu.ctx, frames.slice(1, 0, 1), z);
  for (auto _ : state) encoder.encode_next(cpu.ctx, frames, z);
  report(state, frames.numel() / 3, encoder.cache_bytes(), cpu.arena.peak());
}

BENCHMARK_CAPTURE(decode_chunk, v21_f32, VaeVersion::v21, DType::f32)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(decode_chunk, v21_bf16, VaeVersion::v21, DType::bf16)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(decode_chunk, v22_f32, VaeVersion::v22, DType::f32)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(decode_chunk, v22_bf16, VaeVersion::v22, DType::bf16)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(encode_chunk, v21_f32, VaeVersion::v21, DType::f32)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(encode_chunk, v21_bf16, VaeVersion::v21, DType::bf16)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(encode_chunk, v22_f32, VaeVersion::v22, DType::f32)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(encode_chunk, v22_bf16, VaeVersion::v22, DType::bf16)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace wan::models

BENCHMARK_MAIN();
