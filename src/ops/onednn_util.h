#pragma once
#include <omp.h>

#include <dnnl.hpp>
#include <string_view>
#include <unordered_map>

#include "core/context.h"

/// What the oneDNN kernels share. oneDNN keeps made primitives in a cache of its own, keyed by the whole problem.
namespace wan::ops::cpu {

inline dnnl::engine& onednn_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

inline dnnl::memory::data_type onednn_type(DType t) {
  return t == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

/// oneDNN takes its thread count from OpenMP's setting of the calling thread; restored at the end of the scope.
class OnednnThreads {
 public:
  explicit OnednnThreads(int threads) : before_(omp_get_max_threads()) {
    if (threads != before_) omp_set_num_threads(threads);
  }
  ~OnednnThreads() {
    if (omp_get_max_threads() != before_) omp_set_num_threads(before_);
  }
  OnednnThreads(const OnednnThreads&) = delete;
  OnednnThreads& operator=(const OnednnThreads&) = delete;

 private:
  int before_;
};

inline dnnl::memory onednn_memory(const dnnl::memory::desc& d, void* data) { return {d, onednn_engine(), data}; }

/// Scratch of the size that a descriptor asks for, in ctx.arena.
inline dnnl::memory onednn_scratch(Context& ctx, const dnnl::memory::desc& d) {
  const auto bytes = static_cast<int64_t>(d.get_size());
  return onednn_memory(d, bytes > 0 ? ctx.make(DType::u8, {bytes}).data : nullptr);
}

/// Attributes of every primitive here: scratch comes from us.
inline dnnl::primitive_attr onednn_attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

/// Whether oneDNN has more than its slow reference code for a problem on this processor.
inline bool is_optimised(const char* implementation) { return std::string_view(implementation).substr(0, 3) != "ref"; }

}  // namespace wan::ops::cpu
