#include "weights/upload.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <numeric>

#include "core/error.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "support/temp_dir.h"
#include "weights/file_source.h"

namespace wan::weights {
namespace {

// However small the staging buffer is, the result is what reading in one piece gives.
TEST(Upload, InPiecesGivesTheSameTensors) {
  const test::TempDir dir;
  const auto path = dir.path() / "w.safetensors";
  io::SafetensorsWriter writer(path);
  std::vector<float> values(5 * 3 * 8);
  std::iota(values.begin(), values.end(), 0.3f);
  writer.add("m", std::vector<int64_t>{15, 8}, std::span<const float>(values));
  writer.add("c", std::vector<int64_t>{5, 3, 2, 2, 2}, std::span<const float>(values));
  std::vector<float> many(700 * 1000);
  std::iota(many.begin(), many.end(), -17.f);
  writer.add("large", std::vector<int64_t>{700, 1000}, std::span<const float>(many));
  writer.commit();
  const io::TensorIndex index = io::open_safetensors(path).tensors;
  const std::vector<WeightSpec> specs{{"m", {15, 8}, WeightKind::matrix},
                                      {"c", {5, 3, 2, 2, 2}, WeightKind::conv},
                                      {"large", {700, 1000}, WeightKind::matrix}};

  const WeightSet whole(index, specs, {DType::bf16, false, &host_memory()});
  for (const int threads : {1, 3})
    for (const int64_t staging : {48, 100, 1000, 1 << 20}) {
      PlainUpload upload(host_memory(), staging, 8);
      std::vector<OwnedTensor> got;
      std::vector<WeightToUpload> uploads;
      for (size_t i = 0; i < specs.size(); ++i) {
        got.emplace_back(host_memory(), DType::bf16, whole.tensors()[i].shape);
        uploads.push_back({&index.at(specs[i].name), &specs[i], got[i].tensor});
      }
      upload_weights(upload, uploads, false, threads);
      for (size_t i = 0; i < specs.size(); ++i) {
        const Tensor& expected = whole.tensors()[i];
        EXPECT_EQ(std::memcmp(got[i].tensor.data, expected.data, static_cast<size_t>(expected.nbytes())), 0)
            << specs[i].name << " through " << staging << " bytes";
      }
    }
}

// An error leaves no staging buffer behind: as many failures as there are buffers, and it still works.
TEST(Upload, GoesOnAfterAFileThatCannotBeRead) {
  const test::TempDir dir;
  const auto path = dir.path() / "w.safetensors";
  const std::vector<float> values(1000, 1.5f);
  io::SafetensorsWriter writer(path);
  writer.add("m", std::vector<int64_t>{10, 100}, std::span<const float>(values));
  writer.commit();
  const WeightSpec spec{"m", {10, 100}, WeightKind::matrix};
  const io::TensorIndex index = io::open_safetensors(path).tensors;
  const OwnedTensor got(host_memory(), DType::f32, {10, 100});
  const WeightToUpload weight{&index.at("m"), &spec, got.tensor};
  PlainUpload upload(host_memory(), 400, 4);
  const auto size = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, size - 2000);
  for (int i = 0; i < 5; ++i) EXPECT_THROW(upload_weights(upload, {&weight, 1}, false, 2), Error);
  std::filesystem::resize_file(path, size);
  upload_weights(upload, {&weight, 1}, false, 2);
  EXPECT_EQ(got.tensor.ptr<float>()[0], 1.5f);
  EXPECT_EQ(got.tensor.ptr<float>()[999], 0.f);
}

}  // namespace
}  // namespace wan::weights
