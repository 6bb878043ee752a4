// How far may bf16 be from float32? Twice as far as plain rounding is: the float32 pipeline whose weights and whose
// every op's output are rounded to bf16.
#include <gtest/gtest.h>

#include "engine/generation.h"
#include "ops/kernels.h"
#include "support/cpu_context.h"
#include "support/expected.h"
#include "support/golden_cases.h"
#include "support/temp_dir.h"

namespace wan::engine {
namespace {

void round_to_bf16(const Tensor& t) {
  if (t.dtype != DType::f32) return;
  std::array<int64_t, Shape::max_rank> at{};
  for (int64_t n = t.numel(); n > 0; --n) {
    int64_t offset = 0;
    for (int d = 0; d < t.rank(); ++d) offset += at[static_cast<size_t>(d)] * t.stride(d);
    float& value = t.ptr<float>()[offset];
    value = static_cast<float>(bf16(value));
    for (int d = t.rank() - 1; d >= 0 && ++at[static_cast<size_t>(d)] == t.dim(d); --d) at[static_cast<size_t>(d)] = 0;
  }
}

/// The CPU's op, then rounding of its result.
template <auto Op, class Args>
void rounded(Context& ctx, const Args& args) {
  (ops::cpu_kernels().*Op)(ctx, args);
  if constexpr (requires { args.gate; })
    round_to_bf16(args.x);  // gated_add works in place
  else if constexpr (requires { args.y; })
    round_to_bf16(args.y);
  else if constexpr (requires { args.a; })
    round_to_bf16(args.a);
  else
    round_to_bf16(args.x);
}

ops::KernelTable rounding_kernels() {
  using ops::KernelTable;
  KernelTable t = ops::cpu_kernels();
  t.linear = rounded<&KernelTable::linear, ops::LinearArgs>;
  t.norm_modulate = rounded<&KernelTable::norm_modulate, ops::NormModulateArgs>;
  t.layer_norm = rounded<&KernelTable::layer_norm, ops::LayerNormArgs>;
  t.rms_norm = rounded<&KernelTable::rms_norm, ops::RmsNormArgs>;
  t.channel_norm = rounded<&KernelTable::channel_norm, ops::ChannelNormArgs>;
  t.rms_norm_rope = rounded<&KernelTable::rms_norm_rope, ops::RmsNormRopeArgs>;
  t.attention = rounded<&KernelTable::attention, ops::AttentionArgs>;
  t.gated_add = rounded<&KernelTable::gated_add, ops::GatedAddArgs>;
  t.gelu_mul = rounded<&KernelTable::gelu_mul, ops::GeluMulArgs>;
  t.conv = rounded<&KernelTable::conv, ops::ConvArgs>;
  t.to_channels_last = rounded<&KernelTable::to_channels_last, ops::ToChannelsLastArgs>;
  return t;
}

/// Relative error of the final latents and of the video against the golden ones.
std::pair<double, double> errors(const test::GoldenCase& c, DType compute, const ops::KernelTable& kernels,
                                 bool round_weights) {
  const test::TempDir dir;
  Request r = test::golden_request(c);
  r.dump = dir / "dump.safetensors";

  const ModelsOnDisk models(test::golden_folder + c.checkpoint, {});
  const PreparedRequest prepared = prepare(models, r);
  test::CpuContext cpu(compute);
  cpu.ctx.kernels = &kernels;
  const weights::Policy policy{compute, round_weights, &host_memory()};
  LoadedModels loaded(models, policy, policy, policy, nullptr, nullptr);
  const Hooks hooks;
  Generation(cpu.ctx, cpu.ctx, models, loaded, prepared, hooks).run({}, true);

  const test::Expected got(r.dump), want(test::golden_folder + "expected.safetensors");
  const std::string prefix = std::string(c.name) + ".";
  return {test::relative_l2(got.f32("latent_out"), want.f32(prefix + "latent_out")),
          test::relative_l2(got.f32("video"), want.f32(prefix + "video"))};
}

class Bf16 : public testing::TestWithParam<test::GoldenCase> {};

TEST_P(Bf16, IsNoFurtherFromFloat32ThanTwicePlainRounding) {
  const ops::KernelTable rounding = rounding_kernels();
  const auto [plain_latent, plain_video] = errors(GetParam(), DType::f32, rounding, true);
  const auto [latent, video] = errors(GetParam(), DType::bf16, ops::cpu_kernels(), false);
  RecordProperty("plain_latent", std::to_string(plain_latent));
  RecordProperty("bf16_latent", std::to_string(latent));
  RecordProperty("plain_video", std::to_string(plain_video));
  RecordProperty("bf16_video", std::to_string(video));
  EXPECT_GT(plain_latent, 1e-4) << "the yardstick did not round";
  EXPECT_LE(latent, 2 * plain_latent);
  EXPECT_LE(video, 2 * plain_video);
}

INSTANTIATE_TEST_SUITE_P(Cases, Bf16, testing::ValuesIn(test::golden_cases), test::golden_name);

}  // namespace
}  // namespace wan::engine
