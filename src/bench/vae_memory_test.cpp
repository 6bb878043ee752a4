// What decoding and encoding at the official sizes take of a GPU's memory, in bands of rows: the model code on memory
// that does not exist, with the scratch that the CUDA back end's convolutions take. cuDNN's workspaces are not known
// here.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "bench/machine.h"
#include "engine/dimensions.h"
#include "models/vae_stream.h"

namespace wan::bench {
namespace {

// Like DryMemory, for code that asks what device it is on.
class DryGpu final : public MemoryResource {
 public:
  void* allocate(int64_t bytes) override { return dry_.allocate(bytes); }
  void deallocate(void* memory, int64_t bytes) noexcept override { dry_.deallocate(memory, bytes); }
  Device device() const noexcept override { return {Device::Kind::cuda, 0}; }
  void upload(void*, const void*, int64_t) override {}
  void download(void*, const void*, int64_t) override {}
  void fill_zero(void*, int64_t) override {}

 private:
  DryMemory dry_;
};

// Three frames of a window are used where they lie, weights in another order are copied; large doubled images are made
// in strips; everything else that has padding on one side or a history is copied.
void conv(Context& ctx, const ops::ConvArgs& a) {
  constexpr int64_t strip_bytes = int64_t{64} << 20;
  const auto scope = ctx.arena->scope();
  const int64_t scale = a.upsample ? 2 : 1;
  const bool even = a.pad_top == a.pad_bottom && a.pad_left == a.pad_right;
  if (a.w.dim(1) == 3 && a.past() == 2 && a.x.dim(0) == 1 && a.stride[0] == 1 && even) {
    ctx.make(a.w.dtype, a.w.shape);
  } else if (a.w.dim(1) > 1 || a.upsample || !even) {
    const int64_t frames = a.w.dim(1) - 1 + a.x.dim(0);
    const int64_t bytes = frames * scale * scale * a.x.nbytes() / a.x.dim(0);
    ctx.make(DType::u8, {a.upsample ? std::min(bytes, strip_bytes) : bytes});
  }
}

template <class Args>
void nothing(Context&, const Args&) {}

const ops::KernelTable& gpu_like() {
  static const ops::KernelTable table = [] {
    ops::KernelTable t = ops::dry_kernels();
    t.linear = nothing;
    t.attention = nothing;
    t.conv = conv;
    return t;
  }();
  return table;
}

// Of decoding (or of encoding, for which the source gives nothing), with the weights, in GB.
double peak(bool decoding, Task task, int64_t width, int64_t height, int64_t frames, int64_t bands) {
  DryGpu gpu;
  Machine machine({}, {.memory = {std::shared_ptr<void>(), &gpu},
                       .kernels = {std::shared_ptr<void>(), &gpu_like()},
                       .synchronise = [] {},
                       .compute = DType::bf16,
                       .name = "dry"});
  const models::VaeConfig vae = engine::official_dimensions(task).vae;
  const OwnedTensor z(machine.memory(), DType::f32,
                      {vae.z_dim, vae.latent_frames(frames), height / vae.stride_s(), width / vae.stride_s()});
  const auto with = [&]<class Weights>(const auto& work) {
    const SyntheticSet set(weights::specs_of<Weights>(vae, ""), DType::bf16, machine.memory(), machine.fill());
    work(weights::bind<Weights>(set.tensors(), vae));
  };
  if (decoding)
    with.operator()<models::VaeDecoderWeights>([&](const auto& decoder) {
      models::decode_bands(machine.ctx(), decoder, vae, z.tensor, bands, [](int64_t, int64_t, const Tensor&) {});
    });
  else
    with.operator()<models::VaeEncoderWeights>([&](const auto& encoder) {
      models::encode_bands(
          machine.ctx(), encoder, vae, frames, [](int64_t, const Tensor&) {}, z.tensor, bands);
    });
  return static_cast<double>(machine.memory().peak()) / 1e9;
}

struct Size {
  bool decoding;
  Task task;
  int64_t width, height, frames;
  std::vector<double> peaks;  // for 1, 2, ... bands
};

class VaeMemory : public testing::TestWithParam<Size> {};

TEST_P(VaeMemory, FallsWithTheBands) {
  const Size& s = GetParam();
  for (size_t i = 0; i < s.peaks.size(); ++i) {
    const auto bands = static_cast<int64_t>(i) + 1;
    EXPECT_NEAR(peak(s.decoding, s.task, s.width, s.height, s.frames, bands), s.peaks[i], 0.05) << bands << " bands";
  }
}

// Two bands gain little: the rows kept of the first are new, and it reaches further down in the first stages than half.
INSTANTIATE_TEST_SUITE_P(Official, VaeMemory,
                         testing::Values(Size{true, Task::t2v_A14B, 1280, 720, 81, {6.45, 5.08, 3.60, 2.96, 2.55}},
                                         Size{true, Task::t2v_A14B, 832, 480, 81, {2.98, 2.46, 1.84, 1.54}},
                                         Size{true, Task::ti2v_5B, 1280, 704, 121, {6.23, 6.51, 5.47, 4.94, 4.68}},
                                         Size{true, Task::ti2v_5B, 704, 1280, 121, {6.23, 5.51, 4.51}},
                                         Size{false, Task::i2v_A14B, 1280, 720, 81, {5.18, 3.44, 2.55, 2.12, 1.89}},
                                         Size{false, Task::ti2v_5B, 1280, 704, 1, {1.92, 1.33, 0.99}}),
                         [](const auto& i) {
                           return fmt::format("{}_{}x{}x{}", i.param.decoding ? "decode" : "encode", i.param.width,
                                              i.param.height, i.param.frames);
                         });

}  // namespace
}  // namespace wan::bench
