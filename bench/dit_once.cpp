// One forward of a transformer on inputs from a file, for block_precision.py:
//   dit_once FOLDER IN.safetensors OUT.safetensors [auto|cpu|cuda] [bf16|f32]
// FOLDER has config.json and diffusion_pytorch_model.safetensors. IN has latent [c, F, H, W], context [n, text_dim] and
// timestep [1], all f32. OUT gets velocity [c, F, H, W], and the residual stream after every block (from a second
// forward, so that nobody listens in the first).
#include <fmt/format.h>

#include <exception>

#include "core/error.h"
#include "engine/backend.h"
#include "engine/host.h"
#include "engine/models_on_disk.h"
#include "io/safetensors.h"
#include "io/safetensors_set.h"
#include "io/safetensors_writer.h"

namespace {

using namespace wan;

OwnedTensor to_device(MemoryResource& memory, const io::TensorIndex& index, const char* name) {
  const io::TensorEntry& entry = index.at(name);
  const std::vector<float> values = io::read_as_f32(entry);
  OwnedTensor out(memory, DType::f32, Shape(std::span<const int64_t>(entry.shape)));
  memory.upload(out.tensor.data, values.data(), out.tensor.nbytes());
  return out;
}

void write(io::SafetensorsWriter& writer, MemoryResource& memory, std::string_view name, const Tensor& value) {
  std::vector<float> host(static_cast<size_t>(value.numel()));
  require(value.dtype == DType::f32 && value.contiguous(), ErrorCode::unsupported, "[dit_once] {} is not plain f32",
          name);
  memory.download(host.data(), value.data, value.nbytes());
  writer.add(std::string(name), value.shape.dims(), std::span<const float>(host));
}

void run(const std::filesystem::path& folder, const std::string& in, const std::string& out, const std::string& device,
         const std::string& dtype) {
  const engine::Backend backend = engine::make_backend(device);
  MemoryResource& memory = *backend.memory;
  Arena arena(memory);
  Context ctx;
  ctx.arena = &arena;
  ctx.kernels = backend.kernels.get();
  ctx.stream = backend.stream;
  ctx.compute = dtype == "bf16" ? DType::bf16 : DType::f32;
  ctx.threads = engine::usable_cpus();

  const io::DitFiles files{folder / "config.json",
                           io::LazyTensors([&] { return io::open_safetensors_set(io::find_safetensors(folder)); })};
  const weights::Policy policy{ctx.compute, false, &memory, backend.upload.get(), ctx.threads};
  const engine::LoadedDit loaded(files.tensors.get(), engine::read_dit_config(files), policy);
  const models::Dit& dit = loaded.dit();
  const io::TensorIndex inputs = io::open_safetensors(in).tensors;
  const OwnedTensor latent = to_device(memory, inputs, "latent"), context = to_device(memory, inputs, "context");
  const OwnedTensor velocity(memory, DType::f32, latent.tensor.shape);
  const weights::WeightSet set(files.tensors.get(), weights::specs_of<models::DitConditioningWeights>(dit.config, ""),
                               policy);
  const auto conditioning = weights::bind<models::DitConditioningWeights>(set.tensors(), dit.config);
  const float timestep = io::read_as_f32(inputs.at("timestep")).at(0);
  const models::DitTimes times = models::embed_times(ctx, dit.config, conditioning, std::span(&timestep, 1));
  const models::DitText text = models::embed_text(ctx, dit.config, conditioning, context.tensor);
  const ops::Rope3d rope = models::make_dit_rope(ctx, dit.config, latent.tensor.shape);
  const models::DitInput input{latent.tensor, {}, &times, 0, 0, &rope};

  io::SafetensorsWriter writer(out, {{"device", backend.name}, {"dtype", dtype}});
  models::dit_forward(ctx, dit, input, text, velocity.tensor);
  backend.synchronise();
  write(writer, memory, "velocity", velocity.tensor);
  ctx.trace = [&](std::string_view name, const Tensor& value) {
    if (name.starts_with("block")) write(writer, memory, name, value);
  };
  models::dit_forward(ctx, dit, input, text, velocity.tensor);
  backend.synchronise();
  writer.commit();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr, "usage: {} FOLDER IN.safetensors OUT.safetensors [auto|cpu|cuda] [bf16|f32]\n", argv[0]);
    return 2;
  }
  try {
    run(argv[1], argv[2], argv[3], argc > 4 ? argv[4] : "auto", argc > 5 ? argv[5] : "bf16");
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
