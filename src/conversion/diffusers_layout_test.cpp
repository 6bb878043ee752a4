// The layout of diffusers' pipelines, as diffusers itself wrote it: tools/oracles/diffusers_fixture.py.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "engine/models_on_disk.h"
#include "models/vae_stream.h"
#include "support/cpu_context.h"
#include "support/expect_error.h"
#include "support/expected.h"
#include "support/temp_dir.h"

namespace wan {
namespace {

namespace fs = std::filesystem;
using io::ModelPart;
using io::Naming;

const std::string golden = WAN_SOURCE_DIR "/tests/golden/tiny/";
const std::string fixtures = WAN_SOURCE_DIR "/tests/fixtures/diffusers/";

/// One of the fixture's pipelines as a whole checkpoint: with a tokenizer.
class Pipeline {
 public:
  explicit Pipeline(const std::string& version) : prefix_(version + "."), values_(fixtures + "expected.safetensors") {
    fs::copy(fixtures + version, folder(), fs::copy_options::recursive);
    fs::create_directories(folder() / "tokenizer");
    fs::copy_file(golden + "Wan2.2-TI2V-5B/google/umt5-xxl/spiece.model", folder() / "tokenizer/spiece.model");
  }
  fs::path folder() const { return dir_ / "pipeline"; }

  Tensor load(const std::string& name) {
    return cpu.from(values_.f32(prefix_ + name), Shape(std::span<const int64_t>(values_.shape(prefix_ + name))));
  }
  std::vector<int32_t> ids() const { return values_.i32(prefix_ + "ids"); }
  double error(const Tensor& got, const std::string& name) const {
    return test::relative_l2(test::values(got), values_.f32(prefix_ + name));
  }
  weights::Policy policy() const { return {DType::f32, false, &host_memory()}; }

  test::CpuContext cpu;

 private:
  const test::TempDir dir_;
  const std::string prefix_;
  const test::Expected values_;
};

double dit_error(Pipeline& p, const engine::ModelsOnDisk& models, pipeline::Expert expert, float timestep,
                 const std::string& name) {
  Context& ctx = p.cpu.ctx;
  const auto loaded = models.load_dit(expert, p.policy());
  const models::DitConfig& config = models.dit_config(expert);
  const weights::WeightSet set = models.load_conditioning(expert, p.policy());
  const auto conditioning = weights::bind<models::DitConditioningWeights>(set.tensors(), config);
  const Tensor latent = p.load("latent");
  const models::DitTimes times = models::embed_times(ctx, config, conditioning, std::span(&timestep, 1));
  const models::DitText text = models::embed_text(ctx, config, conditioning, p.load("context"));
  const ops::Rope3d rope = models::make_dit_rope(ctx, config, latent.shape);
  const Tensor out = ctx.make(DType::f32, latent.shape);
  models::dit_forward(ctx, loaded->dit(), {latent, {}, &times, 0, 0, &rope}, text, out);
  return p.error(out, name);
}

// diffusers' VAE takes latents as they come, ours as the transformer sees them.
Tensor scaled(Pipeline& p, const Tensor& z, bool to_transformer) {
  const models::LatentStatistics s = models::latent_statistics(z.dim(0));
  const Tensor out = p.cpu.ctx.make(DType::f32, z.shape);
  const int64_t each = z.numel() / z.dim(0);
  for (int64_t i = 0; i < z.numel(); ++i) {
    const auto c = static_cast<size_t>(i / each);
    const float v = z.ptr<float>()[i];
    out.ptr<float>()[i] = to_transformer ? (v - s.mean[c]) / s.std[c] : v * s.std[c] + s.mean[c];
  }
  return out;
}

void expect_vae_agrees(Pipeline& p, const engine::ModelsOnDisk& models) {
  Context& ctx = p.cpu.ctx;
  const models::VaeConfig& config = models.vae_config();
  const weights::WeightSet decoder_set = models.load_vae_decoder(p.policy());
  const weights::WeightSet encoder_set = models.load_vae_encoder(p.policy());
  const auto decoder_weights = weights::bind<models::VaeDecoderWeights>(decoder_set.tensors(), config);
  const auto encoder_weights = weights::bind<models::VaeEncoderWeights>(encoder_set.tensors(), config);
  const Tensor z = scaled(p, p.load("latent"), true), frames = p.load("frames");
  models::VaeDecoder decoder(decoder_weights, config, z.dim(2), z.dim(3));
  const Tensor decoded = ctx.make(DType::f32, frames.shape), encoded = ctx.make(DType::f32, z.shape);
  for (int64_t t = 0, first = 0; t < z.dim(1); ++t) {
    const int64_t n = decoder.next_frames();
    decoder.decode_next(ctx, z.slice(1, t, 1), decoded.slice(1, first, n));
    first += n;
  }
  EXPECT_LE(p.error(decoded, "frames"), 1e-5);
  models::VaeEncoder encoder(encoder_weights, config, frames.dim(2), frames.dim(3));
  for (int64_t t = 0, first = 0; t < z.dim(1); ++t) {
    const int64_t n = encoder.next_frames();
    encoder.encode_next(ctx, frames.slice(1, first, n), encoded.slice(1, t, 1));
    first += n;
  }
  EXPECT_LE(p.error(scaled(p, encoded, false), "encoded"), 1e-5);
}

double text_error(Pipeline& p, const engine::ModelsOnDisk& models) {
  const auto loaded = models.load_umt5(p.policy());
  return p.error(models::umt5_encode(p.cpu.ctx, loaded->model(), {p.ids()}).front(), "context");
}

TEST(DiffusersLayout, TwoExpertsComputeWhatDiffusersComputes) {
  Pipeline p("wan21");
  const engine::ModelsOnDisk models(p.folder(), {});
  EXPECT_EQ(models.task(), Task::t2v_A14B);
  EXPECT_EQ(models.files().layout, Naming::diffusers);
  EXPECT_EQ(models.vae_config().version, models::VaeVersion::v21);
  // "high" is `transformer`, "low" `transformer_2`.
  EXPECT_LE(dit_error(p, models, pipeline::Expert::high, 937, "high"), 1e-5);
  EXPECT_LE(dit_error(p, models, pipeline::Expert::low, 437, "low"), 1e-5);
  EXPECT_GT(dit_error(p, models, pipeline::Expert::low, 937, "high"), 1e-2) << "the experts do not differ";
  EXPECT_LE(text_error(p, models), 1e-5);
  expect_vae_agrees(p, models);
}

TEST(DiffusersLayout, OneTransformerAndVae22ComputeWhatDiffusersComputes) {
  Pipeline p("wan22");
  const engine::ModelsOnDisk models(p.folder(), {});
  EXPECT_EQ(models.task(), Task::ti2v_5B);
  EXPECT_FALSE(models.files().two_experts);
  EXPECT_EQ(models.vae_config().version, models::VaeVersion::v22);
  EXPECT_LE(dit_error(p, models, pipeline::Expert::high, 937, "high"), 1e-5);
  EXPECT_LE(text_error(p, models), 1e-5);
  expect_vae_agrees(p, models);
}

TEST(DiffusersLayout, ReportsEverythingMissingAtOnce) {
  const Pipeline p("wan21");
  fs::remove_all(p.folder() / "transformer_2");
  fs::remove(p.folder() / "vae/config.json");
  fs::remove(p.folder() / "text_encoder/model.safetensors");
  fs::remove(p.folder() / "tokenizer/spiece.model");
  test::expect_error(
      ErrorCode::bad_file, [&] { io::open_checkpoint(p.folder()); }, "4 of the checkpoint's files", "transformer_2/",
      "vae/config.json", "text_encoder/model.safetensors", "tokenizer/spiece.model");
  test::expect_error(
      ErrorCode::bad_file, [&] { io::open_checkpoint(p.folder() / "transformer"); }, "one part of a checkpoint");
}

// Every tensor that a model declares is in the table, goes there and back, and stays float32 in bf16 checkpoints
// exactly if the model computes with it in float32.
TEST(DiffusersLayout, TheTableHasEveryTensorOfTheModels) {
  const engine::ModelsOnDisk t2v(golden + "Wan2.2-T2V-A14B", {}), ti2v(golden + "Wan2.2-TI2V-5B", {});
  const auto check = [](ModelPart part, const std::vector<weights::WeightSpec>& specs) {
    const io::TensorNames names(part);
    std::set<std::string> seen;
    for (const weights::WeightSpec& spec : specs) {
      SCOPED_TRACE(spec.name);
      const auto there = names.translate(spec.name, Naming::official, Naming::diffusers);
      ASSERT_TRUE(there.has_value());
      EXPECT_TRUE(seen.insert(*there).second) << *there << " twice";
      EXPECT_EQ(names.translate(*there, Naming::diffusers, Naming::official), spec.name);
      const bool exact = spec.kind == weights::WeightKind::vector || spec.kind == weights::WeightKind::exact;
      EXPECT_EQ(names.bf16_type(spec.name, DType::f32), exact ? DType::f32 : DType::bf16);
    }
  };
  const models::DitConfig& dit = t2v.dit_config();
  check(ModelPart::dit, weights::specs_of<models::DitOuterWeights>(dit, ""));
  check(ModelPart::dit, weights::specs_of<models::DitConditioningWeights>(dit, ""));
  check(ModelPart::dit, weights::specs_of<models::DitBlockWeights>(dit, "blocks.39."));
  check(ModelPart::umt5, weights::specs_of<models::Umt5OuterWeights>(t2v.umt5_config(), ""));
  check(ModelPart::umt5, weights::specs_of<models::Umt5BlockWeights>(t2v.umt5_config(), "blocks.23."));
  for (const auto& [part, models] : {std::pair(ModelPart::vae21, &t2v), std::pair(ModelPart::vae22, &ti2v)}) {
    check(part, weights::specs_of<models::VaeEncoderWeights>(models->vae_config(), ""));
    check(part, weights::specs_of<models::VaeDecoderWeights>(models->vae_config(), ""));
  }
}

TEST(DiffusersLayout, UnknownNamesHaveNoTranslation) {
  const io::TensorNames names(ModelPart::dit);
  for (const char* name :
       {"", "blocks.#.modulation", "blocks..modulation", "blocks.01.modulation", "blocks.x.modulation",
        "blocks.1.modulation.x", "block.1.modulation", "modulation", "norm2.weight"})
    EXPECT_FALSE(names.translate(name, Naming::official, Naming::diffusers)) << name;
  EXPECT_EQ(names.translate("blocks.12.norm3.bias", Naming::official, Naming::diffusers), "blocks.12.norm2.bias");
  EXPECT_EQ(names.bf16_type("blocks.0.ffn.0.weight", DType::i64), DType::i64);
  EXPECT_EQ(names.bf16_type("unknown", DType::f32), DType::f32);
}

}  // namespace
}  // namespace wan
