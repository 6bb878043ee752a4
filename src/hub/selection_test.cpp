#include "hub/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace wan::hub {
namespace {

std::vector<RemoteFile> files(const std::vector<std::string>& paths) {
  std::vector<RemoteFile> all;
  for (const std::string& path : paths) all.push_back({.path = path});
  return all;
}

std::vector<std::string> selected(const std::vector<std::string>& paths) {
  std::vector<std::string> out;
  for (const RemoteFile& file : select_checkpoint_files(files(paths), "Org/Name")) out.push_back(file.path);
  return out;
}

TEST(Selection, OneTransformerAtTheRoot) {
  EXPECT_THAT(
      selected({".gitattributes", "README.md", "Wan2.2_VAE.pth", "assets/x.png", "config.json", "configuration.json",
                "diffusion_pytorch_model-00001-of-00003.safetensors", "diffusion_pytorch_model.safetensors.index.json",
                "examples/config.json", "google/umt5-xxl/spiece.model", "google/umt5-xxl/tokenizer.json",
                "models_t5_umt5-xxl-enc-bf16.pth"}),
      testing::ElementsAre("Wan2.2_VAE.pth", "config.json", "diffusion_pytorch_model-00001-of-00003.safetensors",
                           "diffusion_pytorch_model.safetensors.index.json", "google/umt5-xxl/spiece.model",
                           "google/umt5-xxl/tokenizer.json", "models_t5_umt5-xxl-enc-bf16.pth"));
}

TEST(Selection, TwoExperts) {
  EXPECT_THAT(
      selected({"Wan2.1_VAE.pth", "config.json", "google/umt5-xxl/spiece.model", "high_noise_model/config.json",
                "high_noise_model/diffusion_pytorch_model.safetensors", "low_noise_model/config.json",
                "low_noise_model/diffusion_pytorch_model.safetensors", "low_noise_model/x.bin",
                "models_t5_umt5-xxl-enc-bf16.pth"}),
      testing::ElementsAre("Wan2.1_VAE.pth", "google/umt5-xxl/spiece.model", "high_noise_model/config.json",
                           "high_noise_model/diffusion_pytorch_model.safetensors", "low_noise_model/config.json",
                           "low_noise_model/diffusion_pytorch_model.safetensors", "models_t5_umt5-xxl-enc-bf16.pth"));
}

TEST(Selection, APipelineForDiffusers) {
  const std::vector<std::string> wanted = {"model_index.json",
                                           "scheduler/scheduler_config.json",
                                           "text_encoder/config.json",
                                           "text_encoder/model-00001-of-00002.safetensors",
                                           "text_encoder/model.safetensors.index.json",
                                           "tokenizer/spiece.model",
                                           "tokenizer/tokenizer.json",
                                           "transformer/config.json",
                                           "transformer/diffusion_pytorch_model-00001-of-00002.safetensors",
                                           "transformer_2/diffusion_pytorch_model.safetensors.index.json",
                                           "vae/config.json",
                                           "vae/diffusion_pytorch_model.safetensors"};
  std::vector<std::string> all = wanted;
  for (const char* other :
       {"README.md", "text_encoder/pytorch_model.bin", "vae/x/config.json", "image_encoder/config.json"})
    all.emplace_back(other);
  EXPECT_THAT(selected(all), testing::UnorderedElementsAreArray(wanted));
  test::expect_error(
      ErrorCode::unsupported,
      [] {
        selected({"model_index.json", "transformer/config.json"});
      },
      "vae/config.json", "tokenizer/spiece.model", "--all");
}

TEST(Selection, WhatIsMissingIsNamed) {
  test::expect_error(
      ErrorCode::unsupported,
      [] {
        selected({"high_noise_model/config.json", "Wan2.1_VAE.pth", "model_index.json"});
      },
      "[Org/Name]", "high_noise_model/diffusion_pytorch_model*.safetensors", "low_noise_model/config.json",
      "models_t5_umt5-xxl-enc-bf16.pth", "spiece.model", "--all");
}

}  // namespace
}  // namespace wan::hub
