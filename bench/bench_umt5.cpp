// Encodes prompts with a full-size text encoder: time, and peak resident memory against the file's size.
//   tools/make_umt5.py umt5.pth && build/.../bench_umt5 umt5.pth [bf16|f32] [tokens] [threads]
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "core/context.h"
#include "io/torch_file.h"
#include "models/umt5.h"
#include "ops/kernels.h"
#include "weights/file_source.h"

namespace {

using namespace wan;

double gflop_per_token(const models::Umt5Config& c, double tokens) {
  const auto d = static_cast<double>(c.dim), a = static_cast<double>(c.attention_dim),
             f = static_cast<double>(c.ffn_dim);
  return static_cast<double>(c.layers) * 2e-9 * (4 * d * a + 3 * d * f + 2 * a * tokens);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: {} FILE.pth [bf16|f32] [tokens] [threads]\n", argv[0]);
    return 2;
  }
  const std::string dtype = argc > 2 ? argv[2] : "bf16";
  const int tokens = argc > 3 ? std::atoi(argv[3]) : 512, threads = argc > 4 ? std::atoi(argv[4]) : 2;
  const io::TensorIndex index = io::open_torch_file(argv[1]);
  const models::Umt5Config config = models::infer_umt5_config(weights::shape_of(index), argv[1]);

  Arena arena(host_memory());
  Context ctx;
  ctx.arena = &arena;
  ctx.kernels = &ops::cpu_kernels();
  ctx.compute = dtype == "bf16" ? DType::bf16 : DType::f32;
  ctx.threads = threads;
  const weights::Policy policy{ctx.compute, false, &host_memory()};
  const weights::WeightSet outer(index, weights::specs_of<models::Umt5OuterWeights>(config, ""), policy);
  weights::FileBlocks blocks(index, weights::block_specs<models::Umt5BlockWeights>(config, config.layers, "blocks."),
                             policy, weights::Residency::transient);
  const models::Umt5 model{config, weights::bind<models::Umt5OuterWeights>(outer.tensors(), config), &blocks};

  std::mt19937 random(1);
  std::vector<int32_t> ids(static_cast<size_t>(tokens));
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<uint32_t>(config.vocabulary));
  const double gflop = gflop_per_token(config, tokens) * tokens;
  const double file_gb = static_cast<double>(std::filesystem::file_size(argv[1])) * 1e-9;
  for (int run = 0; run < 2; ++run) {  // the first also reads the file
    const auto scope = arena.scope();
    const auto start = std::chrono::steady_clock::now();
    models::umt5_encode(ctx, model, {ids});
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    fmt::print(
        "run {}: {} {} tokens, {} threads: {:.2f} s, {:.0f} GFLOP, {:.0f} GFLOP/s; peak resident {:.2f} GB, file "
        "{:.2f} GB\n",
        run + 1, dtype, tokens, threads, seconds, gflop, gflop / seconds,
        static_cast<double>(usage.ru_maxrss) * 1024e-9, file_gb);
  }
  return 0;
}
