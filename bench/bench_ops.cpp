// Our linear layers, convolutions and attention at the shapes of the Wan models, each beside what oneDNN's own
// primitive reaches alone in the same process. The two take turns, so that other load on the machine hits both; the
// best of the turns counts. The last lines are a table for docs/measurements.md.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <omp.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bare_onednn.h"
#include "ops/attention.h"
#include "ops/conv.h"
#include "ops/linear.h"

namespace wan::bench {
namespace {

struct Case {
  std::string name;
  double flops = 0, bare_flops = 0;
  double bound = 0.85;                                // wanted: our rate over the bare one
  std::function<std::function<void()>()> ours, bare;  // make memory and primitives, then what is timed
};

struct Result {
  const Case* of;
  double ours = 1e30, bare = 1e30;  // seconds
};

std::vector<Result> results;

// Wall time; on one thread (OMP_NUM_THREADS=1) the thread's own time, so that other load does not count.
double now() {
  if (omp_get_max_threads() > 1)
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double seconds(const std::function<void()>& f) {
  const double start = now();
  f();
  return now() - start;
}

Context& context() {
  static Arena arena(host_memory());
  static Context ctx{.arena = &arena, .kernels = &ops::cpu_kernels(), .threads = omp_get_max_threads()};
  return ctx;
}

// Tensors of finite numbers, alive as long as the case.
using Owned = std::shared_ptr<std::deque<OwnedTensor>>;
Tensor add(const Owned& owned, DType dtype, const Shape& shape) {
  owned->emplace_back(host_memory(), dtype, shape);
  const Tensor t = owned->back().tensor;
  auto* words = static_cast<uint16_t*>(t.data);
  for (int64_t i = 0; i < t.nbytes() / 2; ++i) words[i] = static_cast<uint16_t>(0x3c00 + i * 40503 % 512);
  return t;
}

Case linear_case(int64_t m, int64_t k, int64_t n, DType dtype) {
  const double flops = 2.0 * static_cast<double>(m * k) * static_cast<double>(n);
  return {fmt::format("linear {}x{}x{} {}", m, k, n, to_string(dtype)),
          flops,
          flops,
          0.85,
          [=]() -> std::function<void()> {
            const auto owned = std::make_shared<std::deque<OwnedTensor>>();
            const Tensor x = add(owned, dtype, {m, k}), w = add(owned, dtype, {n, k}), b = add(owned, DType::f32, {n});
            return [=, keep = owned] {
              const auto scope = context().arena->scope();
              ops::linear(context(), x, w, b, dtype);
            };
          },
          [=] { return bare_linear(m, k, n, dtype); }};
}

Case conv_case(int64_t t, int64_t h, int64_t w, int64_t c, int64_t o, std::array<int64_t, 3> kernel, bool upsample,
               DType dtype) {
  const int64_t s = upsample ? 2 : 1, past = kernel[0] - 1;
  const double flops =
      2.0 * static_cast<double>(t * h * w * s * s * o) * static_cast<double>(kernel[0] * kernel[1] * kernel[2] * c);
  return {
      fmt::format("conv {}x{}x{} {}->{} k{}{}{}{} {}", t, h * s, w * s, c, o, kernel[0], kernel[1], kernel[2],
                  upsample ? " doubled" : "", to_string(dtype)),
      flops,
      flops,
      0.85,
      [=]() -> std::function<void()> {
        const auto owned = std::make_shared<std::deque<OwnedTensor>>();
        const Tensor x = add(owned, dtype, {t, h, w, c}), b = add(owned, DType::f32, {o});
        const Tensor history = past ? add(owned, dtype, {past, h, w, c}) : Tensor{};
        const Tensor weight = add(owned, dtype, {o, kernel[0], kernel[1], kernel[2], c});
        ops::ConvShape shape{{1, 1, 1}, kernel[1] / 2, kernel[1] / 2, kernel[2] / 2, kernel[2] / 2, false, upsample};
        return [=, keep = owned] {
          const auto scope = context().arena->scope();
          ops::conv(context(), x, history, weight, b, shape);
        };
      },
      [=] { return bare_conv(t + past, h * s, w * s, c, o, kernel, dtype); }};
}

// Attention is set against the rate of a linear layer.
Case attention_case(int64_t lq, int64_t lk, int64_t heads, int64_t d, DType dtype) {
  return {fmt::format("attention {}x{} {} heads x {} {}", lq, lk, heads, d, to_string(dtype)),
          4.0 * static_cast<double>(lq * lk) * static_cast<double>(heads * d),
          2.0 * 1024 * 5120 * 5120,
          0.35,
          [=]() -> std::function<void()> {
            const auto owned = std::make_shared<std::deque<OwnedTensor>>();
            const Tensor q = add(owned, dtype, {lq, heads, d}), k = add(owned, dtype, {lk, heads, d}),
                         v = add(owned, dtype, {lk, heads, d});
            return [=, keep = owned] {
              const auto scope = context().arena->scope();
              ops::attention(context(), q, k, v, 0.01f);
            };
          },
          [=] { return bare_linear(1024, 5120, 5120, dtype); }};
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const DType t : {DType::f32, DType::bf16}) {
    for (const auto [m, k, n] : {std::array<int64_t, 3>{4096, 5120, 5120},
                                 {4096, 5120, 13824},
                                 {4096, 13824, 5120},
                                 {4096, 3072, 14336},
                                 {512, 4096, 4096},
                                 {512, 4096, 10240},
                                 {512, 10240, 4096}})
      cases.push_back(linear_case(m, k, n, t));
    const std::array<int64_t, 3> causal{3, 3, 3}, image{1, 3, 3}, time{3, 1, 1};
    cases.push_back(conv_case(4, 90, 160, 96, 96, causal, false, t));
    cases.push_back(conv_case(4, 180, 320, 96, 96, causal, false, t));
    cases.push_back(conv_case(1, 180, 320, 96, 96, causal, false, t));
    cases.push_back(conv_case(4, 90, 160, 192, 192, causal, false, t));
    cases.push_back(conv_case(2, 90, 160, 384, 384, causal, false, t));
    cases.push_back(conv_case(1, 90, 160, 384, 384, causal, false, t));
    cases.push_back(conv_case(4, 180, 320, 96, 3, causal, false, t));
    cases.push_back(conv_case(1, 90, 160, 384, 768, time, false, t));
    cases.push_back(conv_case(4, 90, 160, 192, 96, image, true, t));
    cases.push_back(conv_case(4, 160, 160, 160, 160, causal, false, t));
    cases.push_back(conv_case(2, 88, 160, 256, 256, causal, false, t));
    cases.push_back(conv_case(2, 88, 80, 512, 512, causal, false, t));
    cases.push_back(conv_case(1, 44, 80, 1024, 1024, causal, false, t));
    cases.push_back(attention_case(4096, 4096, 8, 128, t));
    cases.push_back(attention_case(4096, 512, 40, 128, t));
    cases.push_back(attention_case(512, 512, 64, 64, t));
  }
  return cases;
}

void run(benchmark::State& state, const Case& c) {
  Result r{&c};
  const auto ours = c.ours(), bare = c.bare();
  ours();
  bare();
  for ([[maybe_unused]] auto _ : state) {
    const double own = seconds(ours);
    r.ours = std::min(r.ours, own);
    r.bare = std::min(r.bare, seconds(bare));
    state.SetIterationTime(own);
  }
  state.counters["GFLOP/s"] = c.flops / r.ours * 1e-9;
  state.counters["bare_GFLOP/s"] = c.bare_flops / r.bare * 1e-9;
  state.counters["ratio"] = c.flops / r.ours / (c.bare_flops / r.bare);
  results.push_back(r);
  context().arena->release();
}

void print_table() {
  fmt::print("\n| case | GFLOP/s | oneDNN alone | ratio | bound |\n|---|---|---|---|---|\n");
  for (const Result& r : results) {
    const double own = r.of->flops / r.ours * 1e-9, bare = r.of->bare_flops / r.bare * 1e-9;
    fmt::print("| {} | {:.1f} | {:.1f} | {:.2f} | {:.2f} |\n", r.of->name, own, bare, own / bare, r.of->bound);
  }
}

}  // namespace
}  // namespace wan::bench

int main(int argc, char** argv) {
  using namespace wan::bench;
  benchmark::Initialize(&argc, argv);
  const auto cases = all_cases();
  for (const Case& c : cases)
    benchmark::RegisterBenchmark(c.name.c_str(), [&c](benchmark::State& state) { run(state, c); })
        ->UseManualTime()
        ->Iterations(3)
        ->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  print_table();
  return 0;
}
