#include "engine/rates.h"

#include <algorithm>

namespace wan::engine {
namespace {

constexpr double tera = 1e12;

constexpr Rates h100{
    "NVIDIA H100 80GB HBM3",
    "cuBLASLt, cuDNN 9.19 and this program's attention (CUDA 13) on one H100 80GB, medians, 2026-11-28",
    745 * tera,  // 707 to 810 over the models' shapes
    690 * tera,  // alone 692 to 711 at 32,760 and 75,600 tokens, 678 to 683 within a forward
    45 * tera,   // upstream's time embedding of every token
    2.97 * tera,
    1};

struct ConvRate {
  int64_t channels;
  double rate;
};
// NDHWC bf16: 96->3 at 720x1280; 96->96; 192 at 360x640; VAE 2.2's 256 at 352x640; 384 at 180x320; 512; 1024. Those of
// 96 and 384 are this program's own (PyTorch reached 245 and 587).
constexpr ConvRate conv_rates[] = {{12, 20 * tera},   {96, 402 * tera},  {192, 609 * tera}, {256, 809 * tera},
                                   {384, 650 * tera}, {512, 729 * tera}, {1024, 745 * tera}};

}  // namespace

double Rates::conv(int64_t channels) const noexcept {
  if (conv_scale == 0) return linear;
  for (const ConvRate& r : conv_rates)
    if (channels <= r.channels) return conv_scale * r.rate;
  return conv_scale * std::end(conv_rates)[-1].rate;
}

const Rates* find_rates(const std::string& gpu) noexcept { return gpu == h100.gpu ? &h100 : nullptr; }

double floor_seconds(const Rates& rates, const ops::OpWork& work) noexcept {
  double rate = rates.linear;
  if (work.kind == ops::WorkKind::conv) rate = rates.conv(work.channels);
  if (work.kind == ops::WorkKind::self_attention || work.kind == ops::WorkKind::cross_attention) rate = rates.attention;
  if (work.dtype == DType::f32) rate = rates.f32;
  return std::max(work.flop / rate, work.bytes / rates.copy);
}

}  // namespace wan::engine
