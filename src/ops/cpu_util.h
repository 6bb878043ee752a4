#pragma once
#include <omp.h>

#include <cstdint>

#include "core/context.h"

/// Small tools of the CPU kernels.
namespace wan::ops::cpu {

/// Whether memory is only measured: kernels that take scratch then take it and do nothing else, so that the planner
/// sees what they really need.
inline bool is_dry(const Context& ctx) noexcept { return ctx.device().kind == Device::Kind::dry; }

/// The number of threads worth starting for n items that each touch or multiply about `cost` elements: waking a thread
/// costs as much as some ten thousand of them.
inline int useful_threads(const Context& ctx, int64_t n, int64_t cost) noexcept {
  constexpr double worth_a_thread = 1 << 14;
  const double wanted = static_cast<double>(n) * static_cast<double>(cost) / worth_a_thread;
  const int64_t most = n < ctx.threads ? n : ctx.threads;
  return wanted < 2 || most < 2
             ? 1
             : static_cast<int>(wanted < static_cast<double>(most) ? wanted : static_cast<double>(most));
}

/// f(i) for i in [0, n), in contiguous shares; `cost` as in useful_threads. f must not throw.
template <class F>
void parallel_for(const Context& ctx, int64_t n, int64_t cost, const F& f) {
  const int threads = useful_threads(ctx, n, cost);
  if (threads == 1) {
    for (int64_t i = 0; i < n; ++i) f(i);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < n; ++i) f(i);
}

/// f(i, thread) for i in [0, n), handed out as threads become free; 0 <= thread < ctx.threads.
template <class F>
void parallel_tasks(const Context& ctx, int64_t n, int64_t cost, const F& f) {
  const int threads = useful_threads(ctx, n, cost);
  if (threads == 1) {
    for (int64_t i = 0; i < n; ++i) f(i, 0);
    return;
  }
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t i = 0; i < n; ++i) f(i, omp_get_thread_num());
}

/// f(first, last, thread) over one contiguous share of [0, n) for each thread.
template <class F>
void parallel_ranges(const Context& ctx, int64_t n, int64_t cost, const F& f) {
  const int threads = useful_threads(ctx, n, cost);
  if (threads == 1) {
    if (n > 0) f(int64_t{0}, n, 0);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < threads; ++i) f(n * i / threads, n * (i + 1) / threads, static_cast<int>(i));
}

inline float load(float v) noexcept { return v; }
inline float load(bf16 v) noexcept { return static_cast<float>(v); }
inline void store(float& to, float v) noexcept { to = v; }
inline void store(bf16& to, float v) noexcept { to = bf16(v); }

/// f.template operator()<T>() with T the element type of an f32 or bf16 tensor.
template <class F>
void with_type(DType t, const F& f) {
  if (t == DType::bf16)
    f.template operator()<bf16>();
  else
    f.template operator()<float>();
}

/// The first element of row `i` of a tensor whose rows may be strided.
template <class T>
T* row(const Tensor& t, int64_t i) noexcept {
  return static_cast<T*>(t.data) + i * t.stride(0);
}

/// Row of a modulation tensor [1 or 2, C] for row i: the first up to `split`, then the last.
inline const float* modulation_row(const Tensor& t, int64_t i, int64_t split) noexcept {
  return static_cast<const float*>(t.data) + (i < split ? 0 : t.dim(0) - 1) * t.stride(0);
}

}  // namespace wan::ops::cpu
