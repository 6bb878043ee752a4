#include "engine/ranks.h"

#include <array>

namespace wan::engine {
namespace {

/// Bytes of the host, through the memory that the communicator knows.
void broadcast_host(Context& ctx, comm::Communicator& world, std::span<std::byte> bytes) {
  const auto scope = ctx.arena->scope();
  MemoryResource& memory = ctx.arena->memory();
  const Tensor there = ctx.make(DType::u8, {static_cast<int64_t>(bytes.size())});
  if (world.rank() == 0) memory.upload(there.data, bytes.data(), there.nbytes());
  broadcast(ctx, world, there);
  memory.download(bytes.data(), there.data, there.nbytes());
}

}  // namespace

void broadcast(Context& ctx, comm::Communicator& world, const Tensor& tensor) {
  auto* data = static_cast<std::byte*>(tensor.data);
  const auto bytes = static_cast<size_t>(tensor.nbytes());
  if (world.rank() > 0) return world.receive({data, bytes}, 0, ctx.stream);
  for (int rank = 1; rank < world.size(); ++rank) world.send({data, bytes}, rank, ctx.stream);
}

void share_start(Context& ctx, comm::Communicator& world, const Shape& latent, int64_t history, Start& start) {
  std::optional<SavedRun::Found>& found = start.found;
  std::array<int64_t, 3> values{found ? found->seed : start.seed, start.video, found ? found->steps_done : 0};
  broadcast_host(ctx, world, std::as_writable_bytes(std::span(values)));
  start.seed = values[0];
  start.video = values[1] != 0;
  if (values[2] == 0) {
    found.reset();
    return;
  }
  if (world.rank() > 0) found = SavedRun::Found{start.seed, values[2], {}, {}};
  found->latent.resize(static_cast<size_t>(latent.numel()));
  found->history.resize(static_cast<size_t>(history), std::vector<float>(found->latent.size()));
  broadcast_host(ctx, world, std::as_writable_bytes(std::span(found->latent)));
  for (std::vector<float>& slot : found->history) broadcast_host(ctx, world, std::as_writable_bytes(std::span(slot)));
}

}  // namespace wan::engine
