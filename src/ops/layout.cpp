#include "ops/layout.h"

#include <algorithm>

#include "ops/checks.h"

namespace wan::ops {
namespace {

void check_latent(const char* op, const char* name, const Tensor& t) {
  check(t && t.rank() == 4 && t.dtype == DType::f32 && t.contiguous(), op,
        "{} is {}, expected contiguous f32 [C, F, H, W]", name, t);
}

int64_t volume(const std::array<int64_t, 3>& patch) { return patch[0] * patch[1] * patch[2]; }

// The number of tokens of a [C, F, H, W] latent; its sizes must be multiples of the patch.
int64_t tokens(const char* op, const Tensor& t, const std::array<int64_t, 3>& patch) {
  check(patch[0] > 0 && patch[1] > 0 && patch[2] > 0, op, "a patch of {} x {} x {}, expected positive sizes", patch[0],
        patch[1], patch[2]);
  check(t.dim(1) % patch[0] == 0 && t.dim(2) % patch[1] == 0 && t.dim(3) % patch[2] == 0, op,
        "{} cannot be cut into patches of {} x {} x {}", t, patch[0], patch[1], patch[2]);
  return t.numel() / std::max<int64_t>(t.dim(0), 1) / volume(patch);
}

void check_affine(const char* op, const Tensor& scale, const Tensor& shift, int64_t channels) {
  check(bool(scale) == bool(shift), op, "scale and shift are given both or not at all");
  if (!scale) return;
  check_parameter(op, "scale", scale, {channels});
  check_parameter(op, "shift", shift, {channels});
}

// A [C, T, H, W] f32 tensor whose frames are dense.
void check_planar(const char* op, const char* name, const Tensor& t, int64_t patch) {
  check(t && t.rank() == 4 && t.dtype == DType::f32 && t.stride(3) == 1 && t.stride(2) == t.dim(3), op,
        "{} is {}, expected f32 [C, T, H, W] with dense frames", name, t);
  check(patch > 0 && t.dim(2) % patch == 0 && t.dim(3) % patch == 0, op,
        "{} is {}, its height and width must be multiples of {}", name, t, patch);
}

}  // namespace

Tensor patchify(Context& ctx, const Tensor& x, const Tensor& extra, std::array<int64_t, 3> patch) {
  constexpr auto op = "patchify";
  check_latent(op, "x", x);
  int64_t channels = x.dim(0);
  if (extra) {
    check_latent(op, "extra", extra);
    check(extra.dim(1) == x.dim(1) && extra.dim(2) == x.dim(2) && extra.dim(3) == x.dim(3), op,
          "x is {} and extra is {}, they may only differ in channels", x, extra);
    channels += extra.dim(0);
  }
  const Tensor y = ctx.make(ctx.compute, {tokens(op, x, patch), channels * volume(patch)});
  call(ctx, op, &KernelTable::patchify, PatchifyArgs{x, extra, y, patch});
  return y;
}

void unpatchify(Context& ctx, const Tensor& x, const Tensor& y, std::array<int64_t, 3> patch) {
  constexpr auto op = "unpatchify";
  check_latent(op, "y", y);
  check(
      x && x.dtype == DType::f32 && x.shape == Shape{tokens(op, y, patch), volume(patch) * y.dim(0)} && x.contiguous(),
      op, "x is {}, expected contiguous f32 {}", x, to_string(Shape{tokens(op, y, patch), volume(patch) * y.dim(0)}));
  call(ctx, op, &KernelTable::unpatchify, UnpatchifyArgs{x, y, patch});
}

Tensor to_channels_last(Context& ctx, const Tensor& x, const Tensor& scale, const Tensor& shift, int64_t patch) {
  constexpr auto op = "to_channels_last";
  check_planar(op, "x", x, patch);
  check_affine(op, scale, shift, x.dim(0));
  const Tensor y = ctx.make(ctx.compute, {x.dim(1), x.dim(2) / patch, x.dim(3) / patch, x.dim(0) * patch * patch});
  call(ctx, op, &KernelTable::to_channels_last, ToChannelsLastArgs{x, scale, shift, y, patch});
  return y;
}

void to_planar(Context& ctx, const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& y, int64_t patch,
               bool clamp) {
  constexpr auto op = "to_planar";
  check_planar(op, "y", y, patch);
  check_affine(op, scale, shift, y.dim(0));
  check_activation(op, "x", x, 4);
  check_contiguous(op, "x", x);
  const Shape expected{y.dim(1), y.dim(2) / patch, y.dim(3) / patch, y.dim(0) * patch * patch};
  check(x.shape == expected, op, "x is {}, expected {} to fill {}", x, expected, y);
  call(ctx, op, &KernelTable::to_planar, ToPlanarArgs{x, scale, shift, y, patch, clamp});
}

Tensor interleave_time(Context& ctx, const Tensor& x) {
  constexpr auto op = "interleave_time";
  check_activation(op, "x", x, 4);
  check_contiguous(op, "x", x);
  check(x.dim(3) % 2 == 0, op, "x is {}, expected an even number of channels", x);
  const Tensor y = ctx.make(x.dtype, {2 * x.dim(0), x.dim(1), x.dim(2), x.dim(3) / 2});
  call(ctx, op, &KernelTable::interleave_time, InterleaveTimeArgs{x, y});
  return y;
}

void copy_rows(Context& ctx, const Tensor& from, const Tensor& to) {
  constexpr auto op = "copy_rows";
  for (const auto& [name, t] : {std::pair{"from", &from}, {"to", &to}}) {
    check_activation(op, name, *t, 3);
    check(t->dim(2) <= 1 || t->stride(2) == 1, op, "the rows of {} ({}) must be dense", name, to_string(*t));
  }
  check(from.shape == to.shape && from.dtype == to.dtype, op, "from is {} and to is {}, expected equal ones", from, to);
  call(ctx, op, &KernelTable::copy_rows, CopyRowsArgs{from, to});
}

Tensor upload(Context& ctx, std::span<const float> values, const Shape& shape) {
  check(static_cast<int64_t>(values.size()) == shape.numel(), "upload", "{} values for a tensor of shape {}",
        values.size(), shape);
  const Tensor y = ctx.make(DType::f32, shape);
  ctx.arena->memory().upload(y.data, values.data(), y.nbytes());
  return y;
}

}  // namespace wan::ops
