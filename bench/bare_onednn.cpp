#include "bare_onednn.h"

#include <memory>
#include <unordered_map>

#include "ops/onednn_plans.h"

namespace wan::bench {
namespace {

using dnnl::memory;
using ops::cpu::onednn_engine;
using ops::cpu::onednn_type;
using tag = dnnl::memory::format_tag;

// Memory filled with small finite numbers in both dtypes.
memory filled(const memory::desc& d) {
  memory m(d, onednn_engine());
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
  tensors->emplace(DNNL_ARG_SCRATCHPAD, memory(plan.scratchpad_desc(), onednn_engine()));
  return [tensors, primitive = Primitive(plan), stream = dnnl::stream(onednn_engine())]() mutable {
    primitive.execute(stream, *tensors);
    stream.wait();
  };
}

}  // namespace

std::function<void()> bare_linear(int64_t m, int64_t k, int64_t n, DType dtype) {
  const auto type = onednn_type(dtype);
  return runner<dnnl::matmul>(ops::cpu::matmul_plan({{m, k}, type, tag::ab}, {{k, n}, type, tag::any},
                                                    {{1, n}, memory::data_type::f32, tag::ab}, {{m, n}, type, tag::ab},
                                                    ops::cpu::onednn_attributes()));
}

std::function<void()> bare_conv(int64_t frames, int64_t h, int64_t w, int64_t c, int64_t o,
                                std::array<int64_t, 3> kernel, DType dtype) {
  const auto type = onednn_type(dtype);
  const auto [kt, kh, kw] = kernel;
  const memory::desc bias({o}, memory::data_type::f32, tag::a);
  if (kt == 1) {  // images: the frames are the batch
    const memory::dims pad{kh / 2, kw / 2};
    return runner<dnnl::convolution_forward>(
        ops::cpu::conv_plan({{frames, c, h, w}, type, tag::any}, {{o, c, kh, kw}, type, tag::any}, bias,
                            {{frames, o, h, w}, type, tag::any}, {1, 1}, pad, pad));
  }
  const memory::dims pad{0, kh / 2, kw / 2};
  return runner<dnnl::convolution_forward>(
      ops::cpu::conv_plan({{1, c, frames, h, w}, type, tag::any}, {{o, c, kt, kh, kw}, type, tag::any}, bias,
                          {{1, o, frames - kt + 1, h, w}, type, tag::any}, {1, 1, 1}, pad, pad));
}

}  // namespace wan::bench
