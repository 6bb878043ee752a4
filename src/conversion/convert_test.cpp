#include "wan/convert.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "conversion/configs.h"
#include "conversion/manifest.h"
#include "engine/models_on_disk.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "io/safetensors_writer.h"
#include "support/bytes.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace wan {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::TempDir;

const std::string golden = WAN_SOURCE_DIR "/tests/golden/tiny/";
const char* const checkpoints[] = {"Wan2.2-T2V-A14B", "Wan2.2-I2V-A14B", "Wan2.2-TI2V-5B"};

std::vector<std::byte> bytes_of(const io::TensorEntry& entry) {
  const auto bytes = io::bytes(entry);
  return {bytes.begin(), bytes.end()};
}

// Names, types, shapes and bytes.
void expect_same(const io::TensorIndex& a, const io::TensorIndex& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, entry] : a.entries()) {
    const io::TensorEntry* other = b.find(name);
    ASSERT_NE(other, nullptr) << name;
    EXPECT_EQ(entry.dtype, other->dtype) << name;
    EXPECT_EQ(entry.shape, other->shape) << name;
    EXPECT_EQ(bytes_of(entry), bytes_of(*other)) << name;
  }
}

void expect_same(const fs::path& a, const fs::path& b) {
  const io::Checkpoint x = io::open_checkpoint(a), y = io::open_checkpoint(b);
  EXPECT_EQ(x.two_experts, y.two_experts);
  expect_same(x.high_noise.tensors.get(), y.high_noise.tensors.get());
  expect_same(x.low_noise.tensors.get(), y.low_noise.tensors.get());
  expect_same(x.text_encoder.get(), y.text_encoder.get());
  expect_same(x.vae.get(), y.vae.get());
  EXPECT_EQ(test::read_file(x.tokenizer), test::read_file(y.tokenizer));
  const engine::ModelsOnDisk m(a, {}), n(b, {});
  EXPECT_EQ(m.task(), n.task());
  EXPECT_EQ(conversion::diffusers_dit_config(m.dit_config()), conversion::diffusers_dit_config(n.dit_config()));
}

size_t count_files(const fs::path& folder) {
  size_t n = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) n += entry.is_regular_file() ? 1 : 0;
  return n;
}

TEST(Convert, ToDiffusersAndBackKeepsEveryByte) {
  for (const char* name : checkpoints) {
    SCOPED_TRACE(name);
    const TempDir dir;
    const ConvertResult there =
        convert({.source = golden + name, .output = dir / "d", .layout = CheckpointLayout::diffusers});
    EXPECT_EQ(io::open_checkpoint(dir / "d").layout, io::Naming::diffusers);
    EXPECT_EQ(count_files(dir / "d"), static_cast<size_t>(there.files) + 1);  // the record
    expect_same(golden + name, dir / "d");
    convert({.source = dir / "d", .output = dir / "o"});
    EXPECT_EQ(io::open_checkpoint(dir / "o").layout, io::Naming::official);
    expect_same(golden + name, dir / "o");
    // Byte for byte the same file again, whatever it was made from.
    convert({.source = dir / "o", .output = dir / "d2", .layout = CheckpointLayout::diffusers});
    const auto manifest = conversion::Manifest::read(dir / "d");
    ASSERT_TRUE(manifest.has_value());
    for (const auto& [path, recorded] : manifest->files)
      EXPECT_EQ(test::read_file(dir / "d" / path), test::read_file(dir / "d2" / path)) << path;
  }
}

TEST(Convert, ExpertsDoNotChangePlaces) {
  const TempDir dir;
  const std::string source = golden + "Wan2.2-T2V-A14B";
  convert({.source = source, .output = dir / "d", .layout = CheckpointLayout::diffusers});
  const auto high = io::open_safetensors(dir / "d/transformer/diffusion_pytorch_model.safetensors").tensors;
  const auto official = io::open_safetensors(source + "/high_noise_model/diffusion_pytorch_model.safetensors").tensors;
  EXPECT_EQ(bytes_of(high.at("blocks.1.norm2.weight")), bytes_of(official.at("blocks.1.norm3.weight")));
  EXPECT_EQ(bytes_of(high.at("blocks.1.attn2.to_out.0.weight")), bytes_of(official.at("blocks.1.cross_attn.o.weight")));
  const auto index = io::read_json_file(dir / "d/model_index.json");
  EXPECT_EQ(index["_class_name"], "WanPipeline");
  EXPECT_EQ(index["boundary_ratio"], 0.875);
}

TEST(Convert, Bf16RoundsMatricesAndNothingElse) {
  const TempDir dir;
  const std::string source = golden + "Wan2.2-TI2V-5B";
  convert({.source = source, .output = dir / "h", .bf16 = true});
  const io::Checkpoint was = io::open_checkpoint(source), is = io::open_checkpoint(dir / "h");
  const io::TensorIndex &from = was.high_noise.tensors.get(), &to = is.high_noise.tensors.get();
  int rounded = 0;
  for (const auto& [name, entry] : from.entries()) {
    SCOPED_TRACE(name);
    const io::TensorEntry& other = to.at(name);
    if (other.dtype == entry.dtype) {
      EXPECT_EQ(bytes_of(entry), bytes_of(other));
      continue;
    }
    ++rounded;
    ASSERT_EQ(other.dtype, DType::bf16);
    std::vector<bf16> expected(static_cast<size_t>(entry.numel()));
    io::read_as_bf16(entry, expected);
    EXPECT_EQ(0, std::memcmp(expected.data(), io::bytes(other).data(), expected.size() * sizeof(bf16)));
  }
  EXPECT_EQ(rounded, 2 * 10 + 3);  // per block q, k, v, o twice and two of the feed-forward; patch and text embedding
  EXPECT_EQ(to.at("time_embedding.0.weight").dtype, DType::f32);
  expect_same(was.vae.get(), is.vae.get());
  expect_same(was.text_encoder.get(), is.text_encoder.get());
  // Float32 tensors lie where they can be used in place.
  for (const auto& [name, entry] : to.entries()) EXPECT_EQ(entry.offset % size_of(entry.dtype), 0) << name;
}

TEST(Convert, Shards) {
  const TempDir dir;
  const std::string source = golden + "Wan2.2-T2V-A14B";
  for (const auto layout : {CheckpointLayout::official, CheckpointLayout::diffusers}) {
    const fs::path out = dir / (layout == CheckpointLayout::official ? "o" : "d");
    convert({.source = source, .output = out, .layout = layout, .shard_bytes = 200'000});
    const fs::path model = out / (layout == CheckpointLayout::official ? "high_noise_model" : "transformer");
    EXPECT_TRUE(fs::exists(model / "diffusion_pytorch_model.safetensors.index.json"));
    EXPECT_GT(count_files(model), 4u);
    expect_same(source, out);
    convert({.source = out, .output = dir / "whole" / out.filename()});
    expect_same(source, dir / "whole" / out.filename());
  }
}

TEST(Convert, AnInterruptedConversionGoesOn) {
  const TempDir dir;
  const ConvertOptions options{
      .source = golden + "Wan2.2-I2V-A14B", .output = dir / "d", .layout = CheckpointLayout::diffusers};
  std::atomic<bool> cancel{false};
  ConvertHooks hooks;
  hooks.cancel = &cancel;
  hooks.on_file = [&](const std::string&) { cancel = true; };
  expect_error(
      ErrorCode::cancelled, [&] { convert(options, hooks); }, "the same call goes on");
  EXPECT_EQ(count_files(dir / "d"), 2u) << "a finished file and the record, and nothing half-written";
  expect_error(
      ErrorCode::bad_file, [&] { io::open_checkpoint(dir / "d"); }, "are missing");
  expect_error(
      ErrorCode::bad_file, [&] { verify_converted(dir / "d"); }, "are missing");
  // What a killed process leaves: a temporary file, and a file that is recorded but has no name yet.
  test::write_file(dir / "d/transformer/.diffusion_pytorch_model.0123abcd.part.safetensors", "x");

  cancel = false;
  ConvertPlan plan;
  hooks.on_file = nullptr;
  hooks.on_plan = [&](const ConvertPlan& p) { plan = p; };
  const fs::path first = dir / "d/transformer/diffusion_pytorch_model.safetensors";
  const auto written = fs::last_write_time(first);
  const ConvertResult result = convert(options, hooks);
  EXPECT_EQ(plan.present_bytes, static_cast<int64_t>(fs::file_size(first)));
  EXPECT_EQ(result.written_bytes, result.total_bytes - plan.present_bytes);
  EXPECT_EQ(fs::last_write_time(first), written);
  EXPECT_EQ(count_files(dir / "d"), static_cast<size_t>(result.files) + 1);
  expect_same(options.source, options.output);
  EXPECT_EQ(convert(options).written_bytes, 0);
}

TEST(Convert, ChangesAreFoundAndMended) {
  const TempDir dir;
  const ConvertOptions options{
      .source = golden + "Wan2.2-TI2V-5B", .output = dir / "d", .layout = CheckpointLayout::diffusers};
  convert(options);
  const ConvertResult right = verify_converted(dir / "d");
  EXPECT_EQ(static_cast<size_t>(right.files) + 1, count_files(dir / "d"));

  const fs::path vae = dir / "d/vae/diffusion_pytorch_model.safetensors";
  std::string content = test::read_file(vae);
  content.back() = static_cast<char>(content.back() ^ 1);
  test::write_file(vae, content);
  fs::remove(dir / "d/vae/config.json");
  fs::resize_file(dir / "d/text_encoder/model.safetensors", 1000);
  expect_error(
      ErrorCode::bad_file, [&] { verify_converted(dir / "d"); }, "3 of ",
      "diffusion_pytorch_model.safetensors has other", "vae/config.json is missing",
      "text_encoder/model.safetensors has another size");
  std::string notes;
  convert(options, {.on_note = [&](const std::string& text) { notes += text; }});
  EXPECT_NE(notes.find("vae/diffusion_pytorch_model.safetensors has changed"), std::string::npos) << notes;
  verify_converted(dir / "d");
  expect_same(options.source, options.output);
}

TEST(Convert, NothingElseIsOverwritten) {
  const TempDir dir;
  const std::string source = golden + "Wan2.2-TI2V-5B";
  test::write_file(dir / "mine", "x");
  expect_error(
      ErrorCode::invalid_argument, [&] { convert({.source = source, .output = dir.path()}); }, "is not empty");
  convert({.source = source, .output = dir / "o"});
  for (const ConvertOptions& other :
       {ConvertOptions{.source = source, .output = dir / "o", .bf16 = true},
        ConvertOptions{.source = source, .output = dir / "o", .layout = CheckpointLayout::diffusers},
        ConvertOptions{.source = golden + "Wan2.2-T2V-A14B", .output = dir / "o"}})
    expect_error(
        ErrorCode::invalid_argument, [&] { convert(other); }, "with other options");
  fs::create_directory(dir / "o/below");
  for (const fs::path& within : {dir / "o", dir / "o/below"})
    expect_error(
        ErrorCode::invalid_argument, [&] { convert({.source = dir / "o", .output = within}); }, "in place");
  expect_error(
      ErrorCode::bad_file, [&] { verify_converted(source); }, "wan-convert.json");
}

TEST(Convert, ARecordThatLiesIsRefused) {
  const TempDir dir;
  const char* const hash = R"("sha256":"0000000000000000000000000000000000000000000000000000000000000000")";
  for (const std::string& files :
       {fmt::format(R"({{"../x":{{"bytes":1,{}}}}})", hash), fmt::format(R"({{"/x":{{"bytes":1,{}}}}})", hash),
        fmt::format(R"({{"x":{{"bytes":-1,{}}}}})", hash), std::string(R"({"x":{"bytes":1,"sha256":"ab"}})"),
        std::string(R"({"x":1})"), std::string("[]")}) {
    test::write_file(dir / "wan-convert.json", R"({"format":1,"key":"k","files":)" + files + "}");
    expect_error(
        ErrorCode::bad_file, [&] { verify_converted(dir.path()); }, "wan-convert.json");
  }
}

// A tensor that only one layout has would be lost.
TEST(Convert, UnknownTensorsAreNamed) {
  const TempDir dir;
  fs::copy(golden + "Wan2.2-TI2V-5B", dir / "c", fs::copy_options::recursive);
  const fs::path file = dir / "c/diffusion_pytorch_model.safetensors";
  const auto tensors = io::open_safetensors(file).tensors;
  std::vector<io::TensorToWrite> all;
  for (const auto& [name, entry] : tensors.entries()) all.push_back({name, entry.dtype, entry.shape, io::bytes(entry)});
  const float one = 1;
  all.push_back({"img_emb.proj.0.weight", DType::f32, {1}, std::as_bytes(std::span(&one, 1))});
  io::write_safetensors(dir / "new", all);
  fs::rename(dir / "new", file);
  expect_error(
      ErrorCode::unsupported,
      [&] { convert({.source = dir / "c", .output = dir / "d", .layout = CheckpointLayout::diffusers}); },
      "img_emb.proj.0.weight", "nothing was written");
  EXPECT_FALSE(fs::exists(dir / "d"));
  convert({.source = dir / "c", .output = dir / "o"});
  EXPECT_NE(io::open_checkpoint(dir / "o").high_noise.tensors.get().find("img_emb.proj.0.weight"), nullptr);
}

TEST(Convert, AFullDiskLeavesNothingHalfWritten) {
  const TempDir dir;
  struct rlimit old {};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{300'000, old.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  expect_error(
      ErrorCode::bad_file, [&] { convert({.source = golden + "Wan2.2-TI2V-5B", .output = dir / "o"}); },
      "diffusion_pytorch_model.safetensors");
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, ignored);
  EXPECT_EQ(count_files(dir / "o"), 1u);
  convert({.source = golden + "Wan2.2-TI2V-5B", .output = dir / "o"});
  expect_same(golden + "Wan2.2-TI2V-5B", dir / "o");
}

}  // namespace
}  // namespace wan
