// A generation whose VAE works in bands of rows gives the same video: to the bit where a convolution's sums do not
// depend on the size of its image. oneDNN's without AVX-512 do.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "engine/generation.h"
#include "io/safetensors.h"
#include "support/cpu_context.h"
#include "support/expected.h"
#include "support/golden_cases.h"
#include "support/temp_dir.h"

namespace wan::engine {
namespace {

struct Video {
  std::vector<float> values;
  std::vector<std::vector<uint8_t>> frames;
};

Video decoded(const test::GoldenCase& c, int64_t bands) {
  const test::TempDir dir;
  const test::Expected golden(test::golden_folder + "expected.safetensors");
  const std::string name = std::string(c.name) + ".latent_out";
  const std::vector<float> latent = golden.f32(name);
  const io::TensorToWrite tensor{"latents", DType::f32, golden.shape(name), std::as_bytes(std::span(latent))};
  io::write_safetensors(dir / "latents.safetensors", std::span(&tensor, 1));
  Request r = test::golden_request(c);
  r.latents = dir / "latents.safetensors";
  r.dump = dir / "dump.safetensors";

  const ModelsOnDisk models(test::golden_folder + c.checkpoint, {});
  const PreparedRequest prepared = prepare(models, r);
  test::CpuContext cpu;
  const weights::Policy policy{DType::f32, false, &host_memory()};
  LoadedModels loaded(models, policy, policy, policy, nullptr, nullptr);
  loaded.vae_bands.decode = bands;
  Video video;
  Hooks hooks;
  hooks.on_frame = [&](std::span<const uint8_t> rgb, int, int) { video.frames.emplace_back(rgb.begin(), rgb.end()); };
  int64_t done = 0;
  hooks.on_progress = [&](const Progress& p) {
    if (p.stage != Stage::decode) return;
    EXPECT_GE(p.done, done);
    done = p.done;
  };
  Generation(cpu.ctx, cpu.ctx, models, loaded, prepared, hooks).run({}, true);
  EXPECT_EQ(done, *r.frames);
  video.values = test::Expected(r.dump).f32("video");
  return video;
}

TEST(VaeBands, GiveTheSameVideo) {
  for (const test::GoldenCase& c : {test::golden_cases[0], test::golden_cases[3]}) {
    const Video whole = decoded(c, 1), banded = decoded(c, 2);
    EXPECT_EQ(whole.values.size(), banded.values.size());
    EXPECT_LE(test::relative_l2(banded.values, whole.values), 1e-6) << c.name;
    EXPECT_GT(whole.frames.size(), 1);
    ASSERT_EQ(whole.frames.size(), banded.frames.size());
    for (size_t f = 0; f < whole.frames.size(); ++f) {
      ASSERT_EQ(whole.frames[f].size(), banded.frames[f].size());
      int most = 0;
      for (size_t i = 0; i < whole.frames[f].size(); ++i)
        most = std::max(most, std::abs(int{whole.frames[f][i]} - int{banded.frames[f][i]}));
      EXPECT_LE(most, 1) << c.name << " frame " << f;
    }
  }
}

}  // namespace
}  // namespace wan::engine
