#pragma once
#include "ops/onednn_util.h"

/// Primitive descriptors; the only place that knows how the interfaces of oneDNN 2 and 3 differ. An empty descriptor
/// means that oneDNN has no code for the problem on this processor.
namespace wan::ops::cpu {

inline dnnl::matmul::primitive_desc matmul_plan(const dnnl::memory::desc& x, const dnnl::memory::desc& w,
                                                const dnnl::memory::desc& b, const dnnl::memory::desc& y,
                                                const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return {onednn_engine(), x, w, b, y, attributes, true};
#else
  const auto problem = b.is_zero() ? dnnl::matmul::desc(x, w, y) : dnnl::matmul::desc(x, w, b, y);
  return {problem, attributes, onednn_engine(), true};
#endif
}

inline dnnl::convolution_forward::primitive_desc conv_plan(const dnnl::memory::desc& x, const dnnl::memory::desc& w,
                                                           const dnnl::memory::desc& b, const dnnl::memory::desc& y,
                                                           const dnnl::memory::dims& stride,
                                                           const dnnl::memory::dims& pad_front,
                                                           const dnnl::memory::dims& pad_back) {
  constexpr auto kind = dnnl::prop_kind::forward_inference;
  constexpr auto algorithm = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  return {onednn_engine(), kind, algorithm, x, w, b, y, stride, pad_front, pad_back, onednn_attributes(), true};
#else
  return {{kind, algorithm, x, w, b, y, stride, pad_front, pad_back}, onednn_attributes(), onednn_engine(), true};
#endif
}

inline void append_activation(dnnl::post_ops& after, dnnl::algorithm kind, float alpha) {
#if DNNL_VERSION_MAJOR >= 3
  after.append_eltwise(kind, alpha, 0.f);
#else
  after.append_eltwise(1.f, kind, alpha, 0.f);
#endif
}

}  // namespace wan::ops::cpu
