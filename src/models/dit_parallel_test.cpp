// The transformer by several ranks that share its tokens, against one rank alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/mesh.h"
#include "support/cpu_context.h"
#include "support/expected.h"
#include "support/golden_dit.h"
#include "support/op_cases.h"
#include "support/thread_ranks.h"

namespace wan::models {
namespace {

const test::Expected& expected() {
  static const test::Expected values(WAN_SOURCE_DIR "/tests/golden/tiny/expected.safetensors");
  return values;
}

struct Case {
  const char* name;
  const char* folder;
  bool image;     // i2v condition
  int64_t clean;  // leading frames with timestep 0
};

const Case cases[] = {{"t2v_unipc", "Wan2.2-T2V-A14B/high_noise_model", false, 0},
                      {"i2v_unipc", "Wan2.2-I2V-A14B/low_noise_model", true, 0},
                      {"ti2v_i2v_unipc", "Wan2.2-TI2V-5B", false, 1}};

/// One rank's context. Memory that nobody wrote to holds NaN: if padding had a part in anything, it would show.
struct Rank {
  explicit Rank(DType compute) : arena(memory) {
    ctx.arena = &arena;
    ctx.kernels = &ops::cpu_kernels();
    ctx.compute = compute;
  }
  Tensor load(const std::string& name) {
    const std::vector<float> values = expected().f32(name);
    const auto dims = expected().shape(name);
    const Tensor t = ctx.make(DType::f32, Shape(std::span<const int64_t>(dims)));
    std::copy(values.begin(), values.end(), t.ptr<float>());
    return t;
  }
  test::PoisonedMemory memory;
  Arena arena;
  Context ctx;
};

std::vector<float> forward(Context& ctx, Rank& rank, const Case& c, DType compute) {
  const test::GoldenDit model(c.folder, compute);
  const std::string name = c.name;
  const Tensor latent = rank.load(name + ".step00.latent_in");
  const Tensor condition = c.image ? rank.load(name + ".y") : Tensor{};
  const Tensor out = ctx.make(DType::f32, {model.dit.config.out_channels, latent.dim(1), latent.dim(2), latent.dim(3)});
  model.forward(ctx, latent, condition, 700, c.clean, rank.load(name + ".context.cond"), out);
  return test::values(out);
}

/// The largest relative error of any rank, against one alone.
double worst_error(const Case& c, DType compute, int size) {
  Rank alone(compute);
  const std::vector<float> whole = forward(alone.ctx, alone, c, compute);
  std::vector<std::vector<float>> parts(static_cast<size_t>(size));
  EXPECT_THAT(test::on_ranks(size,
                             [&](comm::Communicator& world) {
                               Rank rank(compute);
                               const parallel::Mesh mesh(world, {1, size});
                               rank.ctx.mesh = &mesh;
                               parts[static_cast<size_t>(world.rank())] = forward(rank.ctx, rank, c, compute);
                             }),
              testing::Each(""));
  double worst = 0;
  for (const std::vector<float>& part : parts) {
    EXPECT_EQ(part, parts[0]) << "ranks differ";
    const double error = test::relative_l2(part, whole);
    EXPECT_FALSE(std::isnan(error)) << "padding or unwritten memory had a part in it";
    worst = std::max(worst, error);
  }
  return worst;
}

// 72 tokens and 4 heads: from 5 ranks on some have no heads, and 5 and 7 do not divide the tokens.
TEST(DitSequenceParallel, AnyNumberOfRanksGivesWhatOneGives) {
  for (const Case& c : cases)
    for (int size = 2; size <= 8; ++size) EXPECT_LE(worst_error(c, DType::f32, size), 1e-6) << c.name << " " << size;
}

TEST(DitSequenceParallel, Bf16IsAsNearAsItsRounding) {
  for (const Case& c : cases)
    for (const int size : {2, 3}) EXPECT_LE(worst_error(c, DType::bf16, size), 5e-3) << c.name << " " << size;
}

}  // namespace
}  // namespace wan::models
