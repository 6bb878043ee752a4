#include "io/checkpoint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "io/json.h"
#include "io/safetensors.h"
#include "io/torch_file.h"
#include "support/bytes.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace wan::io {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::TempDir;

const std::string golden = WAN_SOURCE_DIR "/tests/golden/tiny/";

uint64_t fnv1a(uint64_t hash, std::span<const std::byte> bytes) {
  for (const std::byte b : bytes) hash = (hash ^ std::to_integer<uint64_t>(b)) * 0x100000001b3u;
  return hash;
}

uint64_t digest(const TensorIndex& tensors) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const auto& [name, entry] : tensors.entries()) {
    const std::string head = fmt::format("{}|{}|{}|", name, to_string(entry.dtype), shape_to_string(entry.shape));
    hash = fnv1a(hash, std::as_bytes(std::span(head)));
    hash = fnv1a(hash, bytes(entry));
  }
  return hash;
}

// Everything in the golden checkpoints, against what Python's safetensors and pickle modules read there.
TEST(Golden, EveryFileReadsAsPythonReadsIt) {
  const auto expected = read_json_file(WAN_SOURCE_DIR "/tests/fixtures/io/golden_digests.json");
  ASSERT_EQ(expected.size(), 12u);
  for (const auto& [file, facts] : expected.items()) {
    SCOPED_TRACE(file);
    const TensorIndex tensors =
        file.ends_with(".pth") ? open_torch_file(golden + file) : open_safetensors(golden + file).tensors;
    EXPECT_EQ(tensors.size(), facts["tensors"].get<size_t>());
    EXPECT_EQ(tensors.total_bytes(), facts["bytes"].get<int64_t>());
    EXPECT_EQ(fmt::format("{:016x}", digest(tensors)), facts["fnv1a"].get<std::string>());
    for (const auto& [name, sample] : facts["samples"].items()) {
      SCOPED_TRACE(name);
      const std::vector<float> values = read_as_f32(tensors.at(name));
      double sum = 0;
      for (const float v : values) sum += static_cast<double>(v);
      EXPECT_EQ(tensors.at(name).shape, sample["shape"].get<std::vector<int64_t>>());
      EXPECT_EQ(values.front(), sample["first"].get<float>());
      EXPECT_EQ(values.back(), sample["last"].get<float>());
      EXPECT_NEAR(sum, sample["sum"].get<double>(), 1e-9 * static_cast<double>(values.size()));
    }
  }
}

TEST(Checkpoint, FindsTwoExperts) {
  for (const char* name : {"Wan2.2-T2V-A14B", "Wan2.2-I2V-A14B"}) {
    const Checkpoint checkpoint = open_checkpoint(golden + name);
    EXPECT_TRUE(checkpoint.two_experts);
    EXPECT_EQ(checkpoint.vae_version, VaeVersion::v2_1);
    EXPECT_EQ(checkpoint.high_noise.config, golden + name + "/high_noise_model/config.json");
    EXPECT_EQ(checkpoint.low_noise.config, golden + name + "/low_noise_model/config.json");
    EXPECT_EQ(checkpoint.high_noise.tensors.get().size(), 69u);
    EXPECT_NE(&checkpoint.low_noise.tensors.get(), &checkpoint.high_noise.tensors.get());
    EXPECT_NE(checkpoint.text_encoder.get().find("token_embedding.weight"), nullptr);
    EXPECT_NE(checkpoint.vae.get().find("decoder.conv1.weight"), nullptr);
    EXPECT_EQ(checkpoint.tokenizer.filename(), "spiece.model");
  }
}

TEST(Checkpoint, FindsTheTransformerAtTheRoot) {
  const Checkpoint checkpoint = open_checkpoint(golden + "Wan2.2-TI2V-5B");
  EXPECT_FALSE(checkpoint.two_experts);
  EXPECT_EQ(checkpoint.vae_version, VaeVersion::v2_2);
  EXPECT_EQ(checkpoint.high_noise.tensors.get().size(), 69u);
  // Opened once, whoever asks.
  EXPECT_EQ(&checkpoint.low_noise.tensors.get(), &checkpoint.high_noise.tensors.get());
  const Checkpoint copy = checkpoint;
  EXPECT_EQ(&copy.vae.get(), &checkpoint.vae.get());
}

TEST(Checkpoint, ReportsEverythingMissingAtOnce) {
  const TempDir dir;
  fs::copy(golden + "Wan2.2-T2V-A14B", dir / "c", fs::copy_options::recursive);
  fs::remove_all(dir / "c/low_noise_model");
  fs::remove(dir / "c/high_noise_model/diffusion_pytorch_model.safetensors");
  fs::remove(dir / "c/Wan2.1_VAE.pth");
  fs::remove(dir / "c/google/umt5-xxl/spiece.model");
  expect_error(
      ErrorCode::bad_file, [&] { open_checkpoint(dir / "c"); }, "4 of the checkpoint's files are missing",
      "low_noise_model/ (config.json and", "high_noise_model/diffusion_pytorch_model.safetensors (or its shards",
      "Wan2.1_VAE.pth", "google/umt5-xxl/spiece.model", "download");
  fs::remove_all(dir / "c/high_noise_model");
  expect_error(
      ErrorCode::bad_file, [&] { open_checkpoint(dir / "c"); }, "high_noise_model/", "low_noise_model/");
}

TEST(Checkpoint, ExplainsWrongFolders) {
  const TempDir dir;
  const auto refused = [](const fs::path& root, auto... texts) {
    expect_error(
        ErrorCode::bad_file, [&] { open_checkpoint(root); }, texts...);
  };
  refused(dir.path(), "is not a Wan checkpoint", "high_noise_model/", "config.json", "models_t5");
  refused(dir / "none", "is not a folder", "download");
  refused(golden + "input.png", "is not a folder", "holds the file");
  refused(golden + "Wan2.2-T2V-A14B/high_noise_model", "one part of a checkpoint", "folder above");
  refused(golden + "Wan2.2-T2V-A14B/high_noise_model/", "one part of a checkpoint");
}

TEST(Checkpoint, DamagedPartsFailWhenTheyAreOpened) {
  const TempDir dir;
  fs::copy(golden + "Wan2.2-TI2V-5B", dir / "c", fs::copy_options::recursive);
  fs::resize_file(dir / "c/models_t5_umt5-xxl-enc-bf16.pth", 100000);
  const Checkpoint checkpoint = open_checkpoint(dir / "c");
  EXPECT_NO_THROW(checkpoint.vae.get());
  for (int i = 0; i < 2; ++i)
    expect_error(
        ErrorCode::bad_file, [&] { checkpoint.text_encoder.get(); }, "models_t5", "still downloading");
}

TEST(Checkpoint, FingerprintFollowsTheContent) {
  const std::string original = open_checkpoint(golden + "Wan2.2-TI2V-5B").fingerprint();
  EXPECT_EQ(original.size(), 16u);
  EXPECT_NE(original, open_checkpoint(golden + "Wan2.2-T2V-A14B").fingerprint());
  EXPECT_NE(open_checkpoint(golden + "Wan2.2-I2V-A14B").fingerprint(),
            open_checkpoint(golden + "Wan2.2-T2V-A14B").fingerprint());

  const TempDir dir;
  fs::copy(golden + "Wan2.2-TI2V-5B", dir / "renamed", fs::copy_options::recursive);
  EXPECT_EQ(open_checkpoint(dir / "renamed").fingerprint(), original);
  // One byte of the first tensor's first value.
  const fs::path weights = dir / "renamed/diffusion_pytorch_model.safetensors";
  const TensorIndex tensors = open_safetensors(weights).tensors;
  const int64_t offset = tensors.entries().begin()->second.offset;
  std::string content = test::read_file(weights);
  content[static_cast<size_t>(offset)] = static_cast<char>(content[static_cast<size_t>(offset)] ^ 1);
  test::write_file(weights, content);
  EXPECT_NE(open_checkpoint(dir / "renamed").fingerprint(), original);
}

}  // namespace
}  // namespace wan::io
