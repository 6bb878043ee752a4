#include <algorithm>
#include <array>
#include <cmath>

#include "models/infer.h"
#include "models/vae.h"

namespace wan::models {
namespace {

using weights::ShapeOf;

constexpr std::array<float, 16> mean_21 = {-0.7571f, -0.7089f, -0.9113f, 0.1075f,  -0.1745f, 0.9653f,
                                           -0.1517f, 1.5508f,  0.4134f,  -0.0715f, 0.5517f,  -0.3632f,
                                           -0.1922f, -0.9497f, 0.2503f,  -0.2921f};
constexpr std::array<float, 16> std_21 = {2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f, 2.6052f, 2.0743f,
                                          3.2687f, 2.1526f, 2.8652f, 1.5579f, 1.6382f, 1.1253f, 2.8251f, 1.9160f};
constexpr std::array<float, 48> mean_22 = {
    -0.2289f, -0.0052f, -0.1323f, -0.2339f, -0.2799f, 0.0174f,  0.1838f,  0.1557f,  -0.1382f, 0.0542f,
    0.2813f,  0.0891f,  0.1570f,  -0.0098f, 0.0375f,  -0.1825f, -0.2246f, -0.1207f, -0.0698f, 0.5109f,
    0.2665f,  -0.2108f, -0.2158f, 0.2502f,  -0.2055f, -0.0322f, 0.1109f,  0.1567f,  -0.0729f, 0.0899f,
    -0.2799f, -0.1230f, -0.0313f, -0.1649f, 0.0117f,  0.0723f,  -0.2839f, -0.2083f, -0.0520f, 0.3748f,
    0.0152f,  0.1957f,  0.1433f,  -0.2944f, 0.3573f,  -0.0548f, -0.1681f, -0.0667f};
constexpr std::array<float, 48> std_22 = {
    0.4765f, 1.0364f, 0.4514f, 1.1677f, 0.5313f, 0.4990f, 0.4818f, 0.5013f, 0.8158f, 1.0344f, 0.5894f, 1.0901f,
    0.6885f, 0.6165f, 0.8454f, 0.4978f, 0.5759f, 0.3523f, 0.7135f, 0.6804f, 0.5833f, 1.4146f, 0.8986f, 0.5659f,
    0.7069f, 0.5338f, 0.4889f, 0.4917f, 0.4069f, 0.4999f, 0.6866f, 0.4093f, 0.5709f, 0.6065f, 0.6415f, 0.4944f,
    0.5726f, 1.2042f, 0.5458f, 1.6887f, 0.3971f, 1.0600f, 0.3943f, 0.5537f, 0.5444f, 0.4089f, 0.7468f, 0.7744f};

int64_t power_of_two(int64_t exponent) { return int64_t{1} << exponent; }

int64_t count_time(const std::vector<VaeStage>& stages) {
  return std::count_if(stages.begin(), stages.end(), [](const VaeStage& s) { return s.time; });
}

// Reads off how many blocks each stage has. Ends at the first module that is not in the file, so it is bounded by the
// file.
std::vector<VaeStage> infer_stages(const ShapeReader& read, VaeVersion version, const std::string& side,
                                   const std::string& kind) {
  std::vector<VaeStage> stages;
  for (bool more = true; more;) {
    stages.emplace_back();
    const size_t i = stages.size() - 1;
    for (;; ++stages[i].blocks) {
      const std::string name = side + vae_module_name(version, stages, kind, i, stages[i].blocks) + "residual.2.weight";
      if (stages[i].blocks > 0 && !read.shape_of(name)) break;
      const Shape shape = read(name, 5);
      if (stages[i].blocks == 0) stages[i].in = shape[1];
      stages[i].out = shape[0];
    }
    const std::string name = side + vae_module_name(version, stages, kind, i, stages[i].blocks);
    stages[i].resample = read.shape_of(name + "resample.1.weight").has_value();
    stages[i].time = stages[i].resample && read.shape_of(name + "time_conv.weight").has_value();
    more = stages[i].resample;
  }
  return stages;
}

// The encoder's convolutions in time keep the width. 2.2's shortcuts average or repeat whole groups of channels.
void check_widths(const VaeConfig& c, const std::string& where) {
  for (const auto* stages : {&c.down, &c.up})
    for (size_t i = 0; i < stages->size(); ++i) {
      const VaeStage& s = (*stages)[i];
      const bool encoder = stages == &c.down, shortcut = c.version == VaeVersion::v22;
      const bool keeps = !s.resample || (*stages)[i + 1].in == s.out || !(encoder || shortcut);
      const int64_t factor = s.resample ? 4 * (s.time ? 2 : 1) : 1;
      const bool divides = encoder ? s.in * factor % s.out == 0 : !s.resample || s.out * factor % s.in == 0;
      require(keeps && (divides || !shortcut), ErrorCode::bad_file,
              "[{}] stage {} of the {} goes from {} to {} channels, which this kind of VAE cannot do", where, i,
              encoder ? "encoder" : "decoder", s.in, s.out);
    }
}

}  // namespace

int64_t VaeConfig::stride_t() const noexcept { return power_of_two(count_time(up)); }
int64_t VaeConfig::stride_s() const noexcept { return patch * power_of_two(static_cast<int64_t>(up.size()) - 1); }

std::string vae_module_name(VaeVersion version, const std::vector<VaeStage>& stages, const std::string& kind,
                            size_t stage, int64_t slot) {
  if (version == VaeVersion::v22) return fmt::format("{}.{}.{}.{}.", kind, stage, kind, slot);
  for (size_t i = 0; i < stage; ++i) slot += stages[i].blocks + (stages[i].resample ? 1 : 0);
  return fmt::format("{}.{}.", kind, slot);
}

VaeConfig infer_vae_config(const ShapeOf& shape_of, const std::string& where) {
  const ShapeReader read{shape_of, where};
  VaeConfig c;
  const int64_t image_channels = read("encoder.conv1.weight", 5)[1];
  c.z_dim = read("conv2.weight", 5)[0];
  c.patch = std::lround(std::sqrt(static_cast<double>(image_channels) / 3));
  require(c.patch > 0 && c.image_channels() == image_channels, ErrorCode::bad_file,
          "[{}] encoder.conv1 takes {} channels, expected 3 times a square: 3 (Wan2.1) or 12 (Wan2.2)", where,
          image_channels);
  if (shape_of("encoder.downsamples.0.downsamples.0.residual.2.weight")) c.version = VaeVersion::v22;
  c.down = infer_stages(read, c.version, "encoder.", "downsamples");
  c.up = infer_stages(read, c.version, "decoder.", "upsamples");
  require(c.down.size() == c.up.size() && count_time(c.down) == count_time(c.up), ErrorCode::bad_file,
          "[{}] the encoder has {} stages ({} of them in time), the decoder {} ({}); expected the same", where,
          c.down.size(), count_time(c.down), c.up.size(), count_time(c.up));
  check_widths(c, where);
  return c;
}

LatentStatistics latent_statistics(int64_t z_dim) {
  if (z_dim == 16) return {mean_21, std_21};
  if (z_dim == 48) return {mean_22, std_22};
  fail(ErrorCode::unsupported,
       "[VAE] {} latent channels: their mean and deviation are not known; expected 16 (Wan2.1) or 48 (Wan2.2)", z_dim);
}

}  // namespace wan::models
