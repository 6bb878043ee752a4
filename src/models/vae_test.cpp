#include "models/vae.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/error.h"
#include "models/vae_test_support.h"

namespace wan::models {
namespace {

using test_vae::Loaded;
using testing::HasSubstr;

VaeConfig official(VaeVersion version) {
  VaeConfig c;
  c.version = version;
  if (version == VaeVersion::v21) {
    c.z_dim = 16;
    c.down = {
        {96, 96, 2, true, false}, {96, 192, 2, true, true}, {192, 384, 2, true, true}, {384, 384, 2, false, false}};
    c.up = {
        {384, 384, 3, true, true}, {192, 384, 3, true, true}, {192, 192, 3, true, false}, {96, 96, 3, false, false}};
  } else {
    c.z_dim = 48;
    c.patch = 2;
    c.down = {
        {160, 160, 2, true, false}, {160, 320, 2, true, true}, {320, 640, 2, true, true}, {640, 640, 2, false, false}};
    c.up = {{1024, 1024, 3, true, true},
            {1024, 1024, 3, true, true},
            {1024, 512, 3, true, false},
            {512, 256, 3, false, false}};
  }
  return c;
}

std::map<std::string, Shape> shapes_of(const VaeConfig& config) {
  std::map<std::string, Shape> shapes;
  for (const auto& s : weights::specs_of<VaeEncoderWeights>(config, "")) shapes[s.name] = s.shape;
  for (const auto& s : weights::specs_of<VaeDecoderWeights>(config, "")) shapes[s.name] = s.shape;
  return shapes;
}

VaeConfig infer(const std::map<std::string, Shape>& shapes) {
  return infer_vae_config(
      [&](const std::string& name) -> std::optional<Shape> {
        const auto it = shapes.find(name);
        if (it == shapes.end()) return std::nullopt;
        return it->second;
      },
      "vae.pth");
}

std::string error_of(const std::map<std::string, Shape>& shapes) {
  try {
    infer(shapes);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::bad_file);
    return e.what();
  }
  return "no error";
}

void expect_equal(const std::vector<VaeStage>& a, const std::vector<VaeStage>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].in, b[i].in) << i;
    EXPECT_EQ(a[i].out, b[i].out) << i;
    EXPECT_EQ(a[i].blocks, b[i].blocks) << i;
    EXPECT_EQ(a[i].resample, b[i].resample) << i;
    EXPECT_EQ(a[i].time, b[i].time) << i;
  }
}

TEST(VaeConfig, OfficialWidthsComeBackFromShapes) {
  for (const VaeVersion version : {VaeVersion::v21, VaeVersion::v22}) {
    const VaeConfig expected = official(version);
    const VaeConfig c = infer(shapes_of(expected));
    EXPECT_EQ(c.version, version);
    EXPECT_EQ(c.z_dim, expected.z_dim);
    EXPECT_EQ(c.patch, expected.patch);
    expect_equal(c.down, expected.down);
    expect_equal(c.up, expected.up);
    EXPECT_EQ(c.stride_t(), 4);
    EXPECT_EQ(c.stride_s(), version == VaeVersion::v21 ? 8 : 16);
    EXPECT_EQ(c.latent_frames(81), 21);
    EXPECT_EQ(c.video_frames(21), 81);
  }
}

TEST(VaeConfig, OtherDepthsAndWidthsToo) {
  VaeConfig odd;
  odd.z_dim = 16;
  odd.down = {{10, 10, 1, true, true}, {10, 30, 3, false, false}};
  odd.up = {{34, 26, 2, true, true}, {14, 6, 1, false, false}};
  const VaeConfig c = infer(shapes_of(odd));
  expect_equal(c.down, odd.down);
  expect_equal(c.up, odd.up);
  EXPECT_EQ(c.stride_t(), 2);
  EXPECT_EQ(c.stride_s(), 2);
}

TEST(VaeConfig, DeclaresExactlyTheTensorsOfTheCheckpoint) {
  for (const VaeVersion version : {VaeVersion::v21, VaeVersion::v22}) {
    const io::TensorIndex index = test_vae::open_tiny(version);
    const VaeConfig config = infer_vae_config(weights::shape_of(index), "tiny");
    std::set<std::string> declared, present;
    for (const auto& [name, shape] : shapes_of(config)) declared.insert(name + " " + to_string(shape));
    for (const auto& [name, entry] : index.entries()) present.insert(name + " " + io::shape_to_string(entry.shape));
    EXPECT_EQ(declared, present);
  }
}

TEST(VaeConfig, SaysWhatIsWrong) {
  const auto good = shapes_of(official(VaeVersion::v22));
  auto bad = good;
  bad.erase("conv2.weight");
  EXPECT_THAT(error_of(bad), HasSubstr("[vae.pth] tensor 'conv2.weight' is missing"));
  bad = good;
  bad["encoder.conv1.weight"] = {160, 5, 3, 3, 3};
  EXPECT_THAT(error_of(bad), HasSubstr("encoder.conv1 takes 5 channels"));
  bad = good;
  bad["encoder.downsamples.1.downsamples.0.residual.2.weight"] = {320};
  EXPECT_THAT(error_of(bad), HasSubstr("has shape [320], expected 5"));
  bad = good;
  bad.erase("decoder.upsamples.1.upsamples.3.time_conv.weight");
  EXPECT_THAT(error_of(bad), HasSubstr("the encoder has 4 stages (2 of them in time), the decoder 4 (1)"));
  bad = good;
  bad["decoder.upsamples.3.upsamples.0.residual.2.weight"] = {256, 300, 3, 3, 3};
  EXPECT_THAT(error_of(bad), HasSubstr("stage 2 of the decoder"));
  bad = good;
  bad["encoder.downsamples.3.downsamples.1.residual.2.weight"] = {77, 640, 3, 3, 3};
  EXPECT_THAT(error_of(bad), HasSubstr("stage 3 of the encoder goes from 640 to 77 channels"));
  EXPECT_THROW(latent_statistics(32), Error);
}

}  // namespace
}  // namespace wan::models
