#include "engine/gpus.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>

#include "core/error.h"

namespace wan::engine {
namespace {

constexpr double tera = 1e12, giga = 1e9;
constexpr int64_t gb = 1'000'000'000;

// The H100's shares are what this program measured on it: 745 and 690 of 989 TFLOP/s. The H200 takes them too; the
// B200, for which there is no attention of our own, what cuDNN gave on the H100, 580. Ampere and Ada keep more of a
// smaller peak busy: matrix products reach about 78 % and FlashAttention-2's kind of kernel 68 % of an A100's by what
// is published; nothing of that was measured with this program.
constexpr double hopper_linear = 745 / 989.4, hopper_attention = 690 / 989.4, cudnn_attention = 580 / 989.4;
constexpr double ampere_linear = 0.78, ampere_attention = 0.68;

// Makers' data sheets: bf16 dense with float32 sums (GeForce cards do those at half rate), memory as drivers report it.
const std::vector<GpuModel> table = {
    {"A40", {"a40", ""}, 149.7 * tera, 37.4 * tera, 696 * giga, 48 * gb, 4, 0, ampere_linear, ampere_attention, false},
    {"A100-40GB",
     {"a100", "40gb"},
     312 * tera,
     19.5 * tera,
     1555 * giga,
     42 * gb,
     4,
     600 * giga,
     ampere_linear,
     ampere_attention,
     false},
    {"A100-80GB",
     {"a100", ""},
     312 * tera,
     19.5 * tera,
     2039 * giga,
     85 * gb,
     4,
     600 * giga,
     ampere_linear,
     ampere_attention,
     false},
    {"RTX3090",
     {"3090", ""},
     71 * tera,
     35.6 * tera,
     936 * giga,
     25 * gb,
     4,
     0,
     ampere_linear,
     ampere_attention,
     false},
    {"RTX4090",
     {"4090", ""},
     165.2 * tera,
     82.6 * tera,
     1008 * giga,
     25 * gb,
     4,
     0,
     ampere_linear,
     ampere_attention,
     false},
    {"RTX5090",
     {"5090", ""},
     209.5 * tera,
     104.8 * tera,
     1792 * giga,
     34 * gb,
     5,
     0,
     ampere_linear,
     ampere_attention,
     false},
    {"A6000",
     {"rtx", "a6000"},
     154.8 * tera,
     38.7 * tera,
     768 * giga,
     51 * gb,
     4,
     0,
     ampere_linear,
     ampere_attention,
     false},
    {"L40S", {"l40s", ""}, 362 * tera, 91.6 * tera, 864 * giga, 48 * gb, 4, 0, ampere_linear, ampere_attention, false},
    {"H100",
     {"h100", ""},
     989.4 * tera,
     66.9 * tera,
     3350 * giga,
     85 * gb,
     5,
     900 * giga,
     hopper_linear,
     hopper_attention,
     true},
    {"H200",
     {"h200", ""},
     989.4 * tera,
     66.9 * tera,
     4800 * giga,
     150 * gb,
     5,
     900 * giga,
     hopper_linear,
     hopper_attention,
     false},
    {"B200",
     {"b200", ""},
     2250 * tera,
     75 * tera,
     7700 * giga,
     191 * gb,
     5,
     1800 * giga,
     hopper_linear,
     cudnn_attention,
     false}};

// Of the H100: 2.97 of 3.35 TB/s, and 45 of 66.9 TFLOP/s in float32.
constexpr double copy_share = 2.97 / 3.35, f32_share = 45 / 66.9;
constexpr double nvlink_share = 0.8;  // of one direction

/// Lower case, letters and digits alone.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (const auto byte = static_cast<unsigned char>(c); std::isalnum(byte) != 0)
      out += static_cast<char>(std::tolower(byte));
  return out;
}

Link pcie(int generation, int lanes) {
  const double rate = pcie_bytes_per_second(generation) * lanes / 16;
  return {lanes == 16 ? fmt::format("PCIe {}", generation) : fmt::format("PCIe {} x{}", generation, lanes), rate, rate};
}

}  // namespace

const std::vector<GpuModel>& gpu_models() { return table; }

const GpuModel* find_gpu_model(const std::string& name) {
  std::vector<std::string> words;
  for (size_t at = 0; at < name.size();) {
    const size_t end = std::min(name.find_first_of(" -_", at), name.size());
    words.push_back(plain(name.substr(at, end - at)));
    at = end + 1;
  }
  const std::string all = plain(name);
  for (const GpuModel& gpu : table)
    if (all == plain(gpu.name)) return &gpu;
  const auto has = [&](const std::string& word) {
    return word.empty() || std::find(words.begin(), words.end(), word) != words.end();
  };
  for (const GpuModel& gpu : table)
    if (has(gpu.words[0]) && has(gpu.words[1])) return &gpu;
  return nullptr;
}

Rates rates_of(const GpuModel& gpu) noexcept {
  return {gpu.name,
          "",
          gpu.bf16 * gpu.linear_share,
          gpu.bf16 * gpu.attention_share,
          gpu.f32 * f32_share,
          gpu.bandwidth * copy_share,
          gpu.bf16 * gpu.linear_share / (989.4 * tera * hopper_linear)};
}

Rates cpu_rates(int threads) noexcept {
  const double n = threads;  // 209 and 425 GFLOP/s of two; attention at 0.74 of it
  return {"CPU", "", n * 212 * giga, n * 157 * giga, n * 104 * giga, std::min(n * 8, 200.0) * giga, 0};
}

// The H100's PCIe 5 gave 54 GB/s; the others are scaled.
double pcie_bytes_per_second(int generation) noexcept {
  constexpr std::array<double, 4> rates = {12.5 * giga, 25 * giga, 54 * giga, 108 * giga};
  return rates[static_cast<size_t>(std::clamp(generation, 3, 6) - 3)];
}

Link default_link(const GpuModel& gpu) {
  Link link = pcie(gpu.pcie, 16);
  if (gpu.nvlink > 0) {
    link.peer = gpu.nvlink / 2 * nvlink_share;
    link.name += " and NVLink";
  }
  return link;
}

Link parse_link(const std::string& text, const GpuModel* gpu) {
  int generation = 0, lanes = 16, end = 0;
  const std::string word = plain(text);
  const bool short_form = std::sscanf(word.c_str(), "pcie%d%n", &generation, &end) == 1;
  const bool whole = end == static_cast<int>(word.size());
  const bool long_form = short_form && !whole &&
                         std::sscanf(word.c_str(), "pcie%dx%d%n", &generation, &lanes, &end) == 2 &&
                         end == static_cast<int>(word.size());
  const bool lanes_fit = lanes == 1 || lanes == 2 || lanes == 4 || lanes == 8 || lanes == 16;
  if (((short_form && whole) || long_form) && generation >= 3 && generation <= 6 && lanes_fit)
    return pcie(generation, lanes);
  if (word == "nvlink" && gpu && gpu->nvlink > 0) return default_link(*gpu);
  fail(ErrorCode::invalid_argument,
       "[--link] '{}' is unknown; expected pcie3, pcie4, pcie5 or pcie6, with fewer lanes such as pcie4x8{}", text,
       gpu && gpu->nvlink > 0 ? ", or nvlink" : "");
}

}  // namespace wan::engine
