#include "parallel/mesh.h"

#include <fmt/format.h>

#include "core/error.h"

namespace wan::parallel {
namespace {

void check_exchange(const char* what, const Tensor& from, const Tensor& to, int64_t from_parts, int64_t to_parts,
                    int ranks) {
  require(from.contiguous() && to.contiguous() && from.dtype == to.dtype && to.dim(0) == ranks &&
              from.numel() * from_parts == to.numel() * to_parts,
          ErrorCode::invalid_argument, "[{} of {} ranks] from {} to {}; expected contiguous tensors, a part a rank",
          what, ranks, to_string(from), to_string(to));
}

/// The error of a group counts the group's ranks; its name says which of all they are.
template <class Call>
void named(const std::string& name, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::comm) throw;
    fail(ErrorCode::comm, "{} (in the {})", error.what(), name);
  }
}

/// "ranks 2, 3" from `first` on, `step` apart.
std::string name_of(const char* kind, int first, int step, int count) {
  std::string ranks;
  for (int i = 0; i < count; ++i) ranks += fmt::format("{}{}", i > 0 ? ", " : "", first + i * step);
  return fmt::format("{} group of ranks {}", kind, ranks);
}

/// Stands for one rank of many whose memory does not exist.
class Dry final : public comm::Communicator {
 public:
  explicit Dry(int size, int rank = 0) : size_(size), rank_(rank) {}
  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return size_; }
  std::unique_ptr<Communicator> split(int) override { return std::make_unique<Dry>(size_, rank_); }
  void all_to_all(std::span<const std::byte>, std::span<std::byte>, void*) override {}
  void all_gather(std::span<const std::byte>, std::span<std::byte>, void*) override {}
  void all_reduce(std::span<float>, comm::Reduction, void*) override {}
  void send(std::span<const std::byte>, int, void*) override {}
  void receive(std::span<std::byte>, int, void*) override {}
  void barrier(void*) override {}

 private:
  int size_, rank_;
};

}  // namespace

void Group::all_to_all(Context& ctx, const Tensor& from, const Tensor& to) const {
  check_exchange("all_to_all", from, to, 1, 1, size());
  named(name_, [&] { comm_->all_to_all(bytes_of(from), bytes_of(to), ctx.stream); });
}

void Group::all_gather(Context& ctx, const Tensor& from, const Tensor& to) const {
  check_exchange("all_gather", from, to, size(), 1, size());
  named(name_, [&] { comm_->all_gather(bytes_of(from), bytes_of(to), ctx.stream); });
}

Mesh::Mesh(comm::Communicator& world, const MeshSizes& sizes) : sizes_(sizes), rank_(world.rank()) {
  require((sizes.guidance == 1 || sizes.guidance == 2) && sizes.sequence >= 1, ErrorCode::invalid_argument,
          "[parallel] {} guidance groups of {} ranks; expected 1 or 2 groups of at least one rank", sizes.guidance,
          sizes.sequence);
  require(
      sizes.ranks() == world.size(), ErrorCode::invalid_argument,
      "[parallel] {} guidance groups x {} ranks that share the tokens are {} ranks, but {} are running; choose sizes "
      "whose product is {}",
      sizes.guidance, sizes.sequence, sizes.ranks(), world.size(), world.size());
  const int branch = rank_ / sizes.sequence, part = rank_ % sizes.sequence;
  if (sizes.guidance > 1)
    guidance_.emplace(world.split(part), name_of("guidance", part, sizes.sequence, sizes.guidance));
  if (sizes.sequence > 1)
    sequence_.emplace(world.split(branch), name_of("sequence", branch * sizes.sequence, 1, sizes.sequence));
}

std::unique_ptr<comm::Communicator> Mesh::dry_world(int rank, int size) { return std::make_unique<Dry>(size, rank); }

Mesh Mesh::dry(const MeshSizes& sizes) {
  Mesh mesh;
  mesh.sizes_ = sizes;
  if (sizes.guidance > 1) mesh.guidance_.emplace(std::make_unique<Dry>(sizes.guidance), "dry guidance group");
  if (sizes.sequence > 1) mesh.sequence_.emplace(std::make_unique<Dry>(sizes.sequence), "dry sequence group");
  return mesh;
}

const Group* guidance_group(const Context& ctx) noexcept { return ctx.mesh ? ctx.mesh->guidance() : nullptr; }
const Group* sequence_group(const Context& ctx) noexcept { return ctx.mesh ? ctx.mesh->sequence() : nullptr; }

}  // namespace wan::parallel
