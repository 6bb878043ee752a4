#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "support/expected.h"
#include "support/golden_cases.h"
#include "support/temp_dir.h"

namespace wan::test {

inline const Expected& golden_values() {
  static const Expected values(golden_folder + "expected.safetensors");
  return values;
}

inline EngineOptions golden_options(const GoldenCase& c, const std::string& device, Precision precision) {
  EngineOptions options;
  options.ckpt_dir = golden_folder + c.checkpoint;
  options.device = device;
  options.precision = precision;
  return options;
}

inline double video_psnr(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
  return 10 * std::log10(4 / (sum / static_cast<double>(a.size())));  // the range is -1..1
}

inline double golden_bound(const std::string& name) {
  if (name == "noise") return 2e-6;
  if (name.starts_with("context")) return 1e-5;
  if (name == "vae_in") return 1e-6;
  if (name.starts_with("vae") || name == "y") return 1e-4;
  return 1e-3;  // whole runs: each step starts from our own last one
}

/// A golden case from its seed alone, in float32: every intermediate against upstream's.
inline void expect_golden_run(const GoldenCase& c, const std::string& device) {
  const TempDir dir;
  Request request = golden_request(c);
  request.dump = dir.path() / "dump.safetensors";
  Engine engine = Engine::open(golden_options(c, device, Precision::f32));

  std::vector<std::string> experts;
  Hooks hooks;
  hooks.on_progress = [&](const Progress& p) {
    if (p.stage == Stage::sample && !p.expert.empty() && p.done < p.total) experts.push_back(p.expert);
  };
  engine.generate(request, hooks);
  EXPECT_EQ(experts, golden_arguments(c)["experts"].get<std::vector<std::string>>());

  const Expected& expected = golden_values();
  const Expected dump(request.dump);
  int compared = 0;
  double worst = 0;
  for (const std::string& key : expected.names()) {
    const std::string prefix = std::string(c.name) + ".";
    if (!key.starts_with(prefix)) continue;
    const std::string name = key.substr(prefix.size());
    ASSERT_TRUE(dump.has(name)) << name << " is not in the dump";
    EXPECT_EQ(dump.shape(name), expected.shape(key)) << name;
    if (expected.dtype(key) == "I32") {
      EXPECT_EQ(dump.i32(name), expected.i32(key)) << name;
    } else if (name.ends_with(".t")) {
      EXPECT_EQ(dump.f32(name), expected.f32(key)) << name;
    } else {
      const double error = relative_l2(dump.f32(name), expected.f32(key));
      EXPECT_LE(error, golden_bound(name)) << name;
      worst = std::max(worst, error);
    }
    ++compared;
  }
  EXPECT_GT(compared, 25);
  const double db = video_psnr(dump.f32("video"), expected.f32(std::string(c.name) + ".video"));
  testing::Test::RecordProperty("video_psnr_db", std::to_string(db));
  testing::Test::RecordProperty("worst_error", std::to_string(worst));
  EXPECT_GE(db, 60);
}

/// How far the final latents are from the float32 golden ones.
inline double golden_latent_error(const GoldenCase& c, const EngineOptions& options) {
  const TempDir dir;
  Request request = golden_request(c);
  request.save_latents = dir.path() / "latents.safetensors";
  Engine::open(options).generate(request);
  return relative_l2(Expected(request.save_latents).f32("latents"),
                     golden_values().f32(std::string(c.name) + ".latent_out"));
}

/// A golden case in bf16: near the float32 result, but not equal to it.
inline void expect_near_in_bf16(const GoldenCase& c, const std::string& device) {
  const double error = golden_latent_error(c, golden_options(c, device, Precision::bf16));
  testing::Test::RecordProperty("latent_error", std::to_string(error));
  EXPECT_LE(error, 3e-2);
  EXPECT_GT(error, 1e-5) << "bf16 cannot be this exact; did it run in f32?";
}

}  // namespace wan::test
