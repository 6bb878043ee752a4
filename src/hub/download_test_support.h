#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "hub/download_files.h"
#include "hub/model_name.h"
#include "support/hub_server.h"
#include "support/temp_dir.h"

namespace wan::hub {

/// Downloads from a HubServer with an A14B-like repository "Org/Name", without long waits.
class DownloadTest : public testing::Test {
 protected:
  DownloadResult fetch() {
    DownloadHooks hooks;
    hooks.on_plan = [this](const DownloadPlan& p) { plan = p; };
    hooks.on_note = [this](const std::string& text) { notes += text + "\n"; };
    hooks.on_progress = [this](const DownloadProgress& p) {
      if (on_progress) on_progress(p);
    };
    hooks.cancel = &cancel;
    options.endpoint = options.endpoint.empty() ? hub.url() : options.endpoint;
    return download_files(options, hooks,
                          {.attempts = 5, .first_wait = 0.002, .longest_wait = 0.01, .longest_asked = 2});
  }

  static std::string read(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::filesystem::path repo_folder() const { return hub::repo_folder(cache.path(), hub.repo()); }

  /// Every file that wan reads is there with the right content.
  void expect_complete(const std::filesystem::path& folder) const {
    for (const std::string& path : wanted()) EXPECT_EQ(read(folder / path), hub.file(path).content) << path;
  }
  static std::vector<std::string> wanted() {
    std::vector<std::string> paths = {"Wan2.1_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth",
                                      "google/umt5-xxl/spiece.model", "google/umt5-xxl/tokenizer_config.json"};
    for (const std::string folder : {"high_noise_model/", "low_noise_model/"})
      for (const char* name : {"config.json", "diffusion_pytorch_model-00001-of-00002.safetensors",
                               "diffusion_pytorch_model-00002-of-00002.safetensors"})
        paths.push_back(folder + name);
    return paths;
  }

  const test::TempDir cache, local;
  test::HubServer hub{"Org/Name", test::checkpoint_files(20'000)};
  DownloadOptions options{.model = "Org/Name",
                          .token = "secret",
                          .cache = cache.path(),
                          .connections = 4,
                          .answer_timeout = 5,
                          .stall_timeout = 5};
  std::atomic<bool> cancel{false};
  DownloadPlan plan;
  std::string notes;
  std::function<void(const DownloadProgress&)> on_progress;
};

}  // namespace wan::hub
