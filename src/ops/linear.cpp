#include "ops/linear.h"

#include "ops/checks.h"

namespace wan::ops {

void linear_into(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& y,
                 Activation activation) {
  constexpr auto op = "linear";
  check_activation(op, "x", x, 2);
  check(x.dim(1) == 1 || x.stride(1) == 1, op, "the rows of x ({}) must be dense", x);
  check(w && w.rank() == 2 && w.dtype == x.dtype && w.contiguous() && w.dim(1) == x.dim(1), op,
        "w is {}, expected a contiguous [N, {}] of dtype {} as x has", w, x.dim(1), to_string(x.dtype));
  if (b) check_parameter(op, "b", b, {w.dim(0)});
  check(y && is_float(y.dtype) && y.shape == Shape{x.dim(0), w.dim(0)} && (y.dim(1) == 1 || y.stride(1) == 1), op,
        "y is {}, expected [{}, {}] with dense rows, f32 or bf16", y, x.dim(0), w.dim(0));
  call(ctx, op, &KernelTable::linear, LinearArgs{x, w, b, y, activation});
}

Tensor linear(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, DType out, Activation activation) {
  check_activation("linear", "x", x, 2);
  check(w && w.rank() == 2, "linear", "w is {}, expected [N, K]", w);
  const Tensor y = ctx.make(out, {x.dim(0), w.dim(0)});
  linear_into(ctx, x, w, b, y, activation);
  return y;
}

Tensor linear(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, Activation activation) {
  return linear(ctx, x, w, b, ctx.compute, activation);
}

}  // namespace wan::ops
