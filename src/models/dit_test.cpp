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
    const DitInput input{latent, c.image ? load(cpu, name + ".y") : Tensor{}, expected().f32(key + ".t").back(),
                         c.clean};
    for (const std::string branch : {"cond", "uncond"}) {
      const TextKv text = make_text_kv(cpu.ctx, model.dit, load(cpu, name + ".context." + branch));
      std::fill_n(out.ptr<float>(), out.numel(), NAN);
      dit_forward(cpu.ctx, model.dit, input, text, out);
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
  const TextKv text = make_text_kv(cpu.ctx, model.dit, load(cpu, "t2v_unipc.context.cond"));
  const Tensor out = cpu.ctx.make(DType::f32, latent.shape);
  dit_forward(cpu.ctx, model.dit, {latent, {}, expected().f32("t2v_unipc.step00.t")[0], 0}, text, out);
  for (const char* name :
       {"patch_embedding.out", "text_embedding.out", "time_projection.first_token", "block0.out", "block1.out"}) {
    const std::string key = std::string("t2v_unipc.") + name;
    ASSERT_TRUE(taps.contains(name)) << name;
    EXPECT_EQ(shapes[name], shape_of(key)) << name;
    EXPECT_LE(test::relative_l2(taps[name], expected().f32(key)), 1e-5) << name;
  }
}

// Trap: expanding the timestep per token costs 9.3 GB at 720p. Rows of the time projection's GEMM, [R, C] x [6C, C]:
int64_t time_projection_rows = 0;

TEST(Dit, TimeEmbeddingHasOneRowPerDistinctTimestep) {
  test::CpuContext cpu;
  ops::KernelTable spy = ops::cpu_kernels();
  spy.linear = [](Context& ctx, const ops::LinearArgs& args) {
    if (args.w.dim(0) == 6 * args.w.dim(1)) time_projection_rows = args.x.dim(0);
    ops::cpu_kernels().linear(ctx, args);
  };
  cpu.ctx.kernels = &spy;
  const GoldenDit model("Wan2.2-TI2V-5B");
  const Tensor latent = load(cpu, "ti2v_i2v_unipc.step00.latent_in");
  const TextKv text = make_text_kv(cpu.ctx, model.dit, load(cpu, "ti2v_i2v_unipc.context.cond"));
  const Tensor out = cpu.ctx.make(DType::f32, latent.shape);
  dit_forward(cpu.ctx, model.dit, {latent, {}, 900.f, 0}, text, out);
  EXPECT_EQ(time_projection_rows, 1);
  dit_forward(cpu.ctx, model.dit, {latent, {}, 900.f, 1}, text, out);
  EXPECT_EQ(time_projection_rows, 2);
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
