#include "models/dit.h"

#include <gtest/gtest.h>

#include <map>

#include "core/error.h"
#include "support/cpu_context.h"
#include "support/expected.h"
#include "support/golden_dit.h"

namespace wan::models {
namespace {

const std::string golden = WAN_SOURCE_DIR "/tests/golden/tiny/";

const test::Expected& expected() {
  static const test::Expected values(golden + "expected.safetensors");
  return values;
}

using test::GoldenDit;

Shape shape_of(const std::string& name) { return Shape(std::span<const int64_t>(expected().shape(name))); }

Tensor load(test::CpuContext& cpu, const std::string& name) { return cpu.from(expected().f32(name), shape_of(name)); }

struct Case {
  const char* name;
  const char* high;
  const char* low;
  int switch_step;  // first step of the low-noise expert
  bool image;       // i2v condition
  int64_t clean;    // TI2V: leading frames with timestep 0
};

const Case cases[] = {
    {"t2v_unipc", "Wan2.2-T2V-A14B/high_noise_model", "Wan2.2-T2V-A14B/low_noise_model", 4, false, 0},
    {"i2v_unipc", "Wan2.2-I2V-A14B/high_noise_model", "Wan2.2-I2V-A14B/low_noise_model", 3, true, 0},
    {"ti2v_t2v_unipc", "Wan2.2-TI2V-5B", "Wan2.2-TI2V-5B", 6, false, 0},
    {"ti2v_i2v_unipc", "Wan2.2-TI2V-5B", "Wan2.2-TI2V-5B", 6, false, 1},
};

/// The largest relative error over all steps and both branches, each fed with the golden latent.
double worst_step(const Case& c, DType compute) {
  test::CpuContext cpu(compute);
  const std::string name = c.name;
  double worst = 0;
  for (int step = 0; step < 6; ++step) {
    const GoldenDit model(step < c.switch_step ? c.high : c.low, compute);
    const std::string key = name + ".step0" + std::to_string(step);
    const Tensor latent = load(cpu, key + ".latent_in");
    const Tensor out =
        cpu.ctx.make(DType::f32, {model.dit.config.out_channels, latent.dim(1), latent.dim(2), latent.dim(3)});
    const Tensor condition = c.image ? load(cpu, name + ".y") : Tensor{};
    for (const std::string branch : {"cond", "uncond"}) {
      std::fill_n(out.ptr<float>(), out.numel(), NAN);
      model.forward(cpu.ctx, latent, condition, expected().f32(key + ".t").back(), c.clean,
                    load(cpu, name + ".context." + branch), out);
      const double error = test::relative_l2(test::values(out), expected().f32(key + "." + branch));
      EXPECT_FALSE(std::isnan(error)) << key;
      worst = std::max(worst, error);
    }
  }
  return worst;
}

TEST(Dit, EveryStepOfEveryCaseEqualsUpstream) {
  for (const Case& c : cases) {
    const double error = worst_step(c, DType::f32);
    RecordProperty(c.name, std::to_string(error));
    EXPECT_LE(error, 1e-5) << c.name;
  }
}

TEST(Dit, Bf16StaysNearFloat32) {
  for (const Case& c : cases) {
    const double error = worst_step(c, DType::bf16);
    EXPECT_LE(error, 2e-2) << c.name;
    EXPECT_GT(error, 1e-5) << c.name << ": bf16 cannot be this exact; did it run in f32?";
  }
}

TEST(Dit, IntermediatesOfTheFirstForwardEqualUpstreams) {
  test::CpuContext cpu;
  const GoldenDit model("Wan2.2-T2V-A14B/high_noise_model");
  std::map<std::string, std::vector<float>> taps;
  std::map<std::string, Shape> shapes;
  cpu.ctx.trace = [&](std::string_view name, const Tensor& value) {
    taps[std::string(name)] = test::values(value);
    shapes[std::string(name)] = value.shape;
  };
  const Tensor latent = load(cpu, "t2v_unipc.step00.latent_in");
  const Tensor out = cpu.ctx.make(DType::f32, latent.shape);
  model.forward(cpu.ctx, latent, {}, expected().f32("t2v_unipc.step00.t")[0], 0, load(cpu, "t2v_unipc.context.cond"),
                out);
  for (const char* name :
       {"patch_embedding.out", "text_embedding.out", "time_projection.first_token", "block0.out", "block1.out"}) {
    const std::string key = std::string("t2v_unipc.") + name;
    ASSERT_TRUE(taps.contains(name)) << name;
    EXPECT_EQ(shapes[name], shape_of(key)) << name;
    EXPECT_LE(test::relative_l2(taps[name], expected().f32(key)), 1e-5) << name;
  }
}

// Trap: expanding the timestep per token costs 9.3 GB at 720p. Here a run has a row for each of its timesteps and one
// for timestep 0, and tokens that are clean use the latter.
TEST(Dit, TimeEmbeddingHasOneRowPerDistinctTimestep) {
  test::CpuContext cpu;
  const GoldenDit model("Wan2.2-TI2V-5B");
  const std::vector<float> timesteps{900, 500, 20};
  const DitTimes times = embed_times(cpu.ctx, model.dit.config, model.conditioning, timesteps);
  EXPECT_EQ(times.projection.tensor.shape, (Shape{4, 6 * model.dit.config.dim}));

  const Tensor latent = load(cpu, "ti2v_i2v_unipc.step00.latent_in");
  const Tensor context = load(cpu, "ti2v_i2v_unipc.context.cond");
  const DitText text = embed_text(cpu.ctx, model.dit.config, model.conditioning, context);
  const ops::Rope3d rope = make_dit_rope(cpu.ctx, model.dit.config, latent.shape);
  const Tensor out = cpu.ctx.make(DType::f32, latent.shape), alone = cpu.ctx.make(DType::f32, latent.shape);
  for (const int64_t clean : {0, 1})
    for (size_t step = 0; step < timesteps.size(); ++step) {
      dit_forward(cpu.ctx, model.dit, {latent, {}, &times, static_cast<int64_t>(step), clean, &rope}, text, out);
      model.forward(cpu.ctx, latent, {}, timesteps[step], clean, context, alone);
      EXPECT_LE(test::relative_l2(test::values(out), test::values(alone)), 1e-6) << timesteps[step] << " " << clean;
    }
}

TEST(Dit, KeysAndValuesOfTheTextMayBeMadeAnew) {
  for (const DType compute : {DType::f32, DType::bf16}) {
    test::CpuContext cpu(compute);
    const GoldenDit model("Wan2.2-TI2V-5B", compute);
    const Tensor latent = load(cpu, "ti2v_i2v_unipc.step00.latent_in");
    const Tensor context = load(cpu, "ti2v_i2v_unipc.context.cond");
    const Tensor kept = cpu.ctx.make(DType::f32, latent.shape), anew = cpu.ctx.make(DType::f32, latent.shape);
    model.forward(cpu.ctx, latent, {}, 700, 0, context, kept, true);
    model.forward(cpu.ctx, latent, {}, 700, 0, context, anew, false);
    EXPECT_EQ(test::values(kept), test::values(anew));
  }
}

TEST(Dit, DimensionsComeFromShapesAndContradictionsAreNamed) {
  const io::TensorIndex index = io::open_safetensors_path(golden + "Wan2.2-I2V-A14B/high_noise_model");
  const DitConfig cfg = infer_dit_config(weights::shape_of(index), {.heads = 4}, "x");
  EXPECT_EQ(cfg.dim, 96);
  EXPECT_EQ(cfg.in_channels, 36);
  EXPECT_EQ(cfg.out_channels, 16);
  EXPECT_EQ(cfg.layers, 2);
  EXPECT_EQ(cfg.ffn_dim, 176);
  EXPECT_EQ(cfg.text_dim, 64);
  try {
    infer_dit_config(weights::shape_of(index), {.heads = 5}, "some/folder");
    FAIL() << "5 heads do not divide 96";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_NE(std::string(error.what()).find("some/folder"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("5 heads"), std::string::npos);
  }
}

}  // namespace
}  // namespace wan::models
