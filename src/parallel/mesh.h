#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "comm/communicator.h"
#include "core/context.h"

/// How the ranks of a run share the work of a model.
namespace wan::parallel {

/// A contiguous tensor's memory, as communicators want it.
inline std::span<std::byte> bytes_of(const Tensor& t) noexcept {
  return {static_cast<std::byte*>(t.data), static_cast<size_t>(t.nbytes())};
}

/// Ranks along one axis of a mesh. Collectives of tensors, ordered on ctx's stream.
class Group {
 public:
  /// `name` describes it in errors: "guidance group of ranks 0, 2".
  Group(std::unique_ptr<comm::Communicator> comm, std::string name) : comm_(std::move(comm)), name_(std::move(name)) {}

  int rank() const noexcept { return comm_->rank(); }
  int size() const noexcept { return comm_->size(); }
  /// Part r of `from` goes to rank r, part r of `to` comes from rank r; both are contiguous [size(), ...] of one shape
  /// and dtype, apart in memory. Throws Error(comm) as the communicator does, with the group's name.
  void all_to_all(Context& ctx, const Tensor& from, const Tensor& to) const;
  /// Part r of `to` [size(), ...] becomes rank r's `from` [...], contiguous and apart in memory. Throws as above.
  void all_gather(Context& ctx, const Tensor& from, const Tensor& to) const;

 private:
  std::unique_ptr<comm::Communicator> comm_;
  std::string name_;
};

struct MeshSizes {
  int guidance = 1;  ///< 2: one half of the ranks computes the prompt's branch of a step, one the negative prompt's
  int sequence = 1;  ///< ranks that share the tokens of a forward
  int ranks() const noexcept { return guidance * sequence; }
  bool operator==(const MeshSizes&) const = default;
};

/// A rank's place among all. Neighbouring ranks share the tokens, since they exchange the most.
class Mesh {
 public:
  /// To be made by every rank of `world` at once: it is split. Throws Error(invalid_argument) if the sizes are not
  /// those of `world`.
  Mesh(comm::Communicator& world, const MeshSizes& sizes);
  /// Of one rank of so many, whose exchanges do nothing: for the planner.
  static Mesh dry(const MeshSizes& sizes);
  /// One rank of the whole world in such a mesh, whose exchanges do nothing.
  static std::unique_ptr<comm::Communicator> dry_world(int rank, int size);

  const MeshSizes& sizes() const noexcept { return sizes_; }
  int rank() const noexcept { return rank_; }
  /// Rank 0 of it computes the prompt's branch; null if every rank computes both.
  const Group* guidance() const noexcept { return guidance_ ? &*guidance_ : nullptr; }
  /// Null if every rank has all tokens.
  const Group* sequence() const noexcept { return sequence_ ? &*sequence_ : nullptr; }

 private:
  Mesh() = default;

  MeshSizes sizes_;
  int rank_ = 0;
  std::optional<Group> guidance_, sequence_;
};

/// Of ctx's mesh; null where there is none.
const Group* guidance_group(const Context& ctx) noexcept;
const Group* sequence_group(const Context& ctx) noexcept;

}  // namespace wan::parallel
