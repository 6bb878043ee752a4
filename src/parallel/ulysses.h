#pragma once
#include "parallel/mesh.h"

/// Ranks share the tokens of a forward; in attention each has all tokens of some heads (DeepSpeed-Ulysses, Jacobs et
/// al. 2023).
namespace wan::parallel {

/// A rank's part of a sequence: rows [first, first + real) of all. Every rank holds equally many rows; those that the
/// last ranks have beyond the sequence's end are padding.
struct TokenShare {
  int64_t whole = 0;  ///< tokens of all ranks
  int64_t rows = 0;   ///< of each rank
  int64_t first = 0;
  int64_t real = 0;  ///< may be 0
  /// How many of the first `count` tokens of the sequence are among the rows here.
  int64_t of_first(int64_t count) const noexcept;
};
/// All tokens where `sequence` is null.
TokenShare share_tokens(const Group* sequence, int64_t tokens) noexcept;
/// All tokens from every rank's rows, [whole, C] in ctx.arena from [rows, C]; `part` itself without a group.
Tensor gather_tokens(Context& ctx, const Tensor& part, const TokenShare& share);

/// Turns rows of all heads into all rows of some heads and back. Where the heads do not divide by the ranks, the last
/// ranks have heads of zeros. One tensor at a time: that takes less memory than all three at once, and the exchange of
/// one may run while the next is computed.
class HeadExchange {
 public:
  /// Takes a buffer of about the size of a rank's rows from ctx.arena.
  HeadExchange(Context& ctx, const Group& group, int64_t heads, int64_t head_dim, int64_t rows, DType dtype);

  /// Rows x [rows, heads * head_dim], contiguous, to [ranks * rows, heads of a rank, head_dim] in ctx.arena.
  Tensor to_heads(Context& ctx, const Tensor& x) const;
  /// The place for what attention makes of the heads, in the shape that to_heads gives. In use by to_heads before.
  Tensor result() const noexcept { return as_heads(buffer_); }
  /// result() to rows out [rows, heads * head_dim]. `spare`: a tensor of to_heads that is no longer needed.
  void to_tokens(Context& ctx, const Tensor& spare, const Tensor& out) const;

 private:
  /// The columns of x [rows, heads * head_dim] as [ranks, rows, columns of a rank]: those of ranks whose heads are all
  /// real, and the others' (at most one rank's, perhaps fewer columns; else absent).
  struct Columns {
    Tensor whole, rest;
  };
  Columns columns_of(const Tensor& x) const;
  Columns parts_of(const Tensor& buffer) const;
  Tensor as_heads(const Tensor& buffer) const noexcept;

  const Group* group_;
  int64_t heads_, head_dim_, rows_;
  int64_t per_rank_;  // heads
  Tensor buffer_;     // [ranks, rows, per_rank * head_dim]
};

}  // namespace wan::parallel
