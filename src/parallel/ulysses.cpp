#include "parallel/ulysses.h"

#include <algorithm>

#include "core/checked.h"
#include "ops/layout.h"

namespace wan::parallel {

int64_t TokenShare::of_first(int64_t count) const noexcept { return std::clamp<int64_t>(count - first, 0, rows); }

TokenShare share_tokens(const Group* sequence, int64_t tokens) noexcept {
  if (!sequence) return {tokens, tokens, 0, tokens};
  const int64_t rows = div_up(tokens, static_cast<int64_t>(sequence->size()));
  const int64_t first = std::min(rows * sequence->rank(), tokens);
  return {tokens, rows, first, std::min(rows, tokens - first)};
}

Tensor gather_tokens(Context& ctx, const Tensor& part, const TokenShare& share) {
  const Group* sequence = sequence_group(ctx);
  if (!sequence) return part;
  const Tensor all = ctx.make(part.dtype, {sequence->size(), part.dim(0), part.dim(1)});
  sequence->all_gather(ctx, part, all);
  return all.view({all.dim(0) * all.dim(1), all.dim(2)}).slice(0, 0, share.whole);
}

HeadExchange::HeadExchange(Context& ctx, const Group& group, int64_t heads, int64_t head_dim, int64_t rows, DType dtype)
    : group_(&group),
      heads_(heads),
      head_dim_(head_dim),
      rows_(rows),
      per_rank_(div_up(heads, static_cast<int64_t>(group.size()))),
      buffer_(ctx.make(dtype, {group.size(), rows, per_rank_ * head_dim})) {
  // Once: to_heads writes only to the real heads.
  const int64_t whole = heads_ / per_rank_;
  const Tensor padded = buffer_.slice(0, whole, group.size() - whole);
  if (padded.numel() > 0) ctx.arena->memory().fill_zero(padded.data, padded.nbytes());
}

Tensor HeadExchange::to_heads(Context& ctx, const Tensor& x) const {
  const Columns from = columns_of(x), to = parts_of(buffer_);
  ops::copy_rows(ctx, from.whole, to.whole);
  if (from.rest) ops::copy_rows(ctx, from.rest, to.rest);
  const Tensor received = ctx.make(buffer_.dtype, buffer_.shape);
  group_->all_to_all(ctx, buffer_, received);
  return as_heads(received);
}

void HeadExchange::to_tokens(Context& ctx, const Tensor& spare, const Tensor& out) const {
  const Tensor received = spare.view(buffer_.shape);
  group_->all_to_all(ctx, buffer_, received);
  const Columns from = parts_of(received), to = columns_of(out);
  ops::copy_rows(ctx, from.whole, to.whole);
  if (from.rest) ops::copy_rows(ctx, from.rest, to.rest);
}

HeadExchange::Columns HeadExchange::columns_of(const Tensor& x) const {
  const int64_t whole = heads_ / per_rank_, width = per_rank_ * head_dim_;
  const auto columns = [&](int64_t first, int64_t parts, int64_t columns_each) {
    const Tensor from = x.slice(1, first, columns_each);
    Tensor made(from.data, x.dtype, {parts, rows_, columns_each}, x.device);
    made.strides = {columns_each, x.stride(0), 1};
    return made;
  };
  Columns made{columns(0, whole, width), {}};
  if (const int64_t rest = heads_ % per_rank_; rest > 0) made.rest = columns(whole * width, 1, rest * head_dim_);
  return made;
}

HeadExchange::Columns HeadExchange::parts_of(const Tensor& buffer) const {
  const int64_t whole = heads_ / per_rank_;
  Columns made{buffer.slice(0, 0, whole), {}};
  if (const int64_t rest = heads_ % per_rank_; rest > 0)
    made.rest = buffer.slice(0, whole, 1).slice(2, 0, rest * head_dim_);
  return made;
}

Tensor HeadExchange::as_heads(const Tensor& buffer) const noexcept {
  return buffer.view({buffer.dim(0) * rows_, per_rank_, head_dim_});
}

}  // namespace wan::parallel
