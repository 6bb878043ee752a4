// Bad requests and damaged checkpoints are refused before any weight is read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "support/golden_cases.h"
#include "support/temp_dir.h"

namespace wan {
namespace {

using testing::AllOf;
using testing::HasSubstr;

EngineOptions at(const std::filesystem::path& folder) {
  EngineOptions options;
  options.ckpt_dir = folder;
  return options;
}

Engine open(const std::string& checkpoint) { return Engine::open(at(test::golden_folder + checkpoint)); }

std::string refusal(const Engine& engine, const Request& request, ErrorCode code = ErrorCode::invalid_argument) {
  try {
    (void)engine.prepare(request);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "accepted";
}

Request small() {
  Request r;
  r.prompt = "x";
  r.width = 96;
  r.height = 64;
  r.frames = 9;
  return r;
}

TEST(Request, SizesNameTheNearestValidOnes) {
  const Engine t2v = open("Wan2.2-T2V-A14B");
  Request r = small();
  r.width = 100;
  EXPECT_THAT(refusal(t2v, r), AllOf(HasSubstr("width"), HasSubstr("100"), HasSubstr("96 and 112")));
  r.width = 96;
  r.height = 71;
  EXPECT_THAT(refusal(t2v, r), AllOf(HasSubstr("height"), HasSubstr("64 and 80")));
  const Engine ti2v = open("Wan2.2-TI2V-5B");
  r.height = 80;  // fine for stride 8, not for stride 16
  EXPECT_THAT(refusal(ti2v, r), HasSubstr("64 and 96"));
  for (const int bad : {0, -16, 1 << 30, 16400}) {
    r = small();
    r.width = bad;
    EXPECT_THAT(refusal(t2v, r), HasSubstr("out of range")) << bad;
  }
  r = small();
  r.height.reset();
  EXPECT_THAT(refusal(t2v, r), HasSubstr("both width and height"));
}

TEST(Request, FramesAre4nPlus1) {
  const Engine engine = open("Wan2.2-T2V-A14B");
  Request r = small();
  for (const int good : {1, 5, 81, 121}) {
    r.frames = good;
    EXPECT_EQ(refusal(engine, r), "accepted") << good;
  }
  r.frames = 80;
  EXPECT_THAT(refusal(engine, r), HasSubstr("77 and 81"));
  for (const int bad : {0, -3, 1 << 30}) {
    r.frames = bad;
    EXPECT_THAT(refusal(engine, r), HasSubstr("out of range")) << bad;
  }
}

TEST(Request, NumbersOutOfRangeAndNanAreRefused) {
  const Engine engine = open("Wan2.2-T2V-A14B");
  const double bad[] = {NAN, INFINITY, -INFINITY, -1, 1e9};
  for (const double value : bad) {
    Request r = small();
    r.guidance_low = value;
    EXPECT_THAT(refusal(engine, r), HasSubstr("--sample_guide_scale")) << value;
    r = small();
    r.guidance_high = value;
    EXPECT_THAT(refusal(engine, r), HasSubstr("--sample_guide_scale")) << value;
    r = small();
    r.shift = value;
    EXPECT_THAT(refusal(engine, r), HasSubstr("--sample_shift")) << value;
    r = small();
    r.fps = value;
    EXPECT_THAT(refusal(engine, r), HasSubstr("--fps")) << value;
  }
  for (const int steps : {0, -1, 1001}) {
    Request r = small();
    r.steps = steps;
    EXPECT_THAT(refusal(engine, r), HasSubstr("--sample_steps")) << steps;
  }
}

TEST(Request, ImagesBelongToTheTasksThatTakeThem) {
  Request r = small();
  EXPECT_THAT(refusal(open("Wan2.2-I2V-A14B"), r), HasSubstr("--image"));
  r.image = test::golden_folder + "input.png";
  EXPECT_THAT(refusal(open("Wan2.2-T2V-A14B"), r), HasSubstr("--image"));
  r.image = "/nowhere/picture.png";
  EXPECT_THAT(refusal(open("Wan2.2-I2V-A14B"), r, ErrorCode::bad_file), HasSubstr("/nowhere/picture.png"));
}

TEST(Request, PromptsAreCheckedBeforeAnythingIsLoaded) {
  const Engine engine = open("Wan2.2-T2V-A14B");
  Request r = small();
  r.prompt = std::string(10'000'000, 'a');
  EXPECT_NE(refusal(engine, r), "accepted");
  r.prompt = "\xff\xfe";
  EXPECT_NE(refusal(engine, r), "accepted");
  r.prompt = std::string("a\0b", 3);
  EXPECT_NE(refusal(engine, r), "accepted");
}

TEST(Request, OutputsAreCheckedBeforeAnythingIsLoaded) {
  const Engine engine = open("Wan2.2-T2V-A14B");
  for (const char* path : {"/nowhere/at/all/clip.mp4", "/proc/clip.mp4", "clip.avi"}) {
    Request r = small();
    r.output = path;
    EXPECT_NE(refusal(engine, r), "accepted") << path;
  }
  Request r = small();
  r.save_latents = "/nowhere/at/all/latents.safetensors";
  EXPECT_NE(refusal(engine, r), "accepted");
  r = small();
  r.dump = "/nowhere/at/all/dump.safetensors";
  EXPECT_NE(refusal(engine, r), "accepted");
}

TEST(Request, NegativeSeedsAreDrawn) {
  const Engine engine = open("Wan2.2-T2V-A14B");
  Request r = small();
  const int64_t a = engine.prepare(r).seed, b = engine.prepare(r).seed;
  EXPECT_GE(a, 0);
  EXPECT_NE(a, b);
  r.seed = 0;
  EXPECT_EQ(engine.prepare(r).seed, 0);
}

/// A copy of a golden checkpoint that may be damaged.
struct Copy {
  explicit Copy(const std::string& checkpoint) : root(dir / "model") {
    std::filesystem::copy(test::golden_folder + checkpoint, root, std::filesystem::copy_options::recursive);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
      std::filesystem::permissions(entry, std::filesystem::perms::owner_all, std::filesystem::perm_options::add);
  }
  std::string opening() const {
    try {
      (void)Engine::open(at(root));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::bad_file) << error.what();
      return error.what();
    }
    return "opened";
  }
  test::TempDir dir;
  std::filesystem::path root;
};

TEST(Checkpoint, AllMissingFilesAreNamedAtOnce) {
  const Copy copy("Wan2.2-T2V-A14B");
  std::filesystem::remove(copy.root / "Wan2.1_VAE.pth");
  std::filesystem::remove(copy.root / "google/umt5-xxl/spiece.model");
  EXPECT_THAT(copy.opening(), AllOf(HasSubstr("VAE.pth"), HasSubstr("spiece.model")));
}

TEST(Checkpoint, TruncatedFilesSayHowMuchIsThere) {
  const Copy copy("Wan2.2-T2V-A14B");
  const auto file = copy.root / "high_noise_model/diffusion_pytorch_model.safetensors";
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  EXPECT_THAT(copy.opening(), AllOf(HasSubstr("high_noise_model"), HasSubstr(" of ")));
}

TEST(Checkpoint, PartsOfDifferentModelsAreNotMixed) {
  const Copy copy("Wan2.2-TI2V-5B");  // latents of 48 channels
  std::filesystem::copy_file(
      test::golden_folder + "Wan2.2-T2V-A14B/low_noise_model/diffusion_pytorch_model.safetensors",
      copy.root / "diffusion_pytorch_model.safetensors", std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(copy.opening(), AllOf(HasSubstr("output channels"), HasSubstr("16"), HasSubstr("48")));
}

TEST(Checkpoint, TheTaskMustBeTheCheckpoints) {
  EngineOptions options = at(test::golden_folder + "Wan2.2-T2V-A14B");
  options.task = Task::ti2v_5B;
  try {
    (void)Engine::open(options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("ti2v-5B"), HasSubstr("t2v-A14B")));
  }
}

TEST(Checkpoint, DefaultsOfItsOwnComeFromGenerationJson) {
  const Copy copy("Wan2.2-T2V-A14B");
  std::ofstream(copy.root / "generation.json")
      << R"({"size": "96*64", "frame_num": 9, "sample_steps": 7, "sample_shift": 3.5, "sample_guide_scale": [2, 2.5], "fps": 12})";
  const Request r = Engine::open(at(copy.root)).prepare({});
  EXPECT_EQ(*r.width, 96);
  EXPECT_EQ(*r.height, 64);
  EXPECT_EQ(*r.frames, 9);
  EXPECT_EQ(*r.steps, 7);
  EXPECT_EQ(*r.shift, 3.5);
  EXPECT_EQ(*r.guidance_low, 2);
  EXPECT_EQ(*r.guidance_high, 2.5);
  EXPECT_EQ(*r.fps, 12);
  std::ofstream(copy.root / "generation.json") << R"({"size": "96"})";
  EXPECT_THAT(copy.opening(), HasSubstr("generation.json"));
}

}  // namespace
}  // namespace wan
