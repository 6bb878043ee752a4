#include "bare_onednn.h"

#include <cstring>
#include <dnnl.hpp>
#include <memory>
#include <unordered_map>

namespace wan::bench {
namespace {

using dnnl::memory;
using tag = dnnl::memory::format_tag;

dnnl::engine& engine() {
  static dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

memory::data_type type_of(DType t) { return t == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32; }

// Memory filled with small finite numbers in both dtypes.
memory filled(const memory::desc& d) {
  memory m(d, engine());
  auto* words = static_cast<uint16_t*>(m.get_data_handle());
  for (size_t i = 0; i < d.get_size() / 2; ++i) words[i] = static_cast<uint16_t>(0x3c00u + i * 40503u % 512u);
  return m;
}

template <class Primitive, class Plan>
std::function<void()> runner(const Plan& plan) {
  auto tensors = std::make_shared<std::unordered_map<int, memory>>();
  tensors->emplace(DNNL_ARG_SRC, filled(plan.src_desc()));
  tensors->emplace(DNNL_ARG_WEIGHTS, filled(plan.weights_desc()));
  tensors->emplace(DNNL_ARG_BIAS, filled(plan.bias_desc()));
  tensors->emplace(DNNL_ARG_DST, filled(plan.dst_desc()));
  tensors->emplace(DNNL_ARG_SCRATCHPAD, memory(plan.scratchpad_desc(), engine()));
  return [tensors, primitive = Primitive(plan), stream = dnnl::stream(engine())]() mutable {
    primitive.execute(stream, *tensors);
    stream.wait();
  };
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr a;
  a.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return a;
}

}  // namespace

std::function<void()> bare_linear(int64_t m, int64_t k, int64_t n, DType dtype) {
  const auto type = type_of(dtype);
  const dnnl::matmul::desc problem({{m, k}, type, tag::ab}, {{k, n}, type, tag::any},
                                   {{1, n}, memory::data_type::f32, tag::ab}, {{m, n}, type, tag::ab});
  return runner<dnnl::matmul>(dnnl::matmul::primitive_desc(problem, attributes(), engine()));
}

std::function<void()> bare_inner_product(int64_t m, int64_t k, int64_t n, DType dtype) {
  const auto type = type_of(dtype);
  const dnnl::inner_product_forward::desc problem(dnnl::prop_kind::forward_inference, {{m, k}, type, tag::any},
                                                  {{n, k}, type, tag::any}, {{n}, memory::data_type::f32, tag::a},
                                                  {{m, n}, type, tag::any});
  return runner<dnnl::inner_product_forward>(
      dnnl::inner_product_forward::primitive_desc(problem, attributes(), engine()));
}

std::function<void()> bare_conv(int64_t frames, int64_t h, int64_t w, int64_t c, int64_t o,
                                std::array<int64_t, 3> kernel, DType dtype) {
  const auto type = type_of(dtype);
  const auto [kt, kh, kw] = kernel;
  if (kt == 1) {  // images: the frames are the batch
    const memory::dims pad{kh / 2, kw / 2};
    const dnnl::convolution_forward::desc problem(
        dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, {{frames, c, h, w}, type, tag::any},
        {{o, c, kh, kw}, type, tag::any}, {{o}, memory::data_type::f32, tag::a}, {{frames, o, h, w}, type, tag::any},
        {1, 1}, pad, pad);
    return runner<dnnl::convolution_forward>(
        dnnl::convolution_forward::primitive_desc(problem, attributes(), engine()));
  }
  const memory::dims pad{0, kh / 2, kw / 2};
  const dnnl::convolution_forward::desc problem(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, {{1, c, frames, h, w}, type, tag::any},
      {{o, c, kt, kh, kw}, type, tag::any}, {{o}, memory::data_type::f32, tag::a},
      {{1, o, frames - kt + 1, h, w}, type, tag::any}, {1, 1, 1}, pad, pad);
  return runner<dnnl::convolution_forward>(dnnl::convolution_forward::primitive_desc(problem, attributes(), engine()));
}

}  // namespace wan::bench
